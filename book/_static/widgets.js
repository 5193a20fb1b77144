// Loaded before require.js: where widgets find their icons, on whatever page and under whatever address.
var require = { baseUrl: document.documentElement.dataset.content_root + "_static/vendor" };
