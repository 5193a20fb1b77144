// EfficientNet-Lite0 up to the last block that is asked, as adlib/features.py asks it.
/* global tf */

export class Network {
  // tensors: name -> {shape, values}; settings: see adlib_book/site/try_it.py.
  constructor(tensors, settings) {
    this.settings = settings;
    this.layers = settings.layers.map((layer, number) => {
      const [left, right, top, bottom] = layer.padding;
      const weight = tensors[`${number}.weight`],
        bias = tensors[`${number}.bias`];
      return {
        ...layer,
        options: {
          filter: tf.tensor(weight.values, weight.shape),
          bias: tf.tensor(bias.values, bias.shape),
          strides: layer.stride,
          pad: [
            [0, 0],
            [top, bottom],
            [left, right],
            [0, 0],
          ],
          activation: layer.clip ? "relu6" : "linear",
        },
      };
    });
  }

  // What several blocks see at each place, side by side on the grid of the first one.
  // pixels: Uint8 (height, width, 3); seen: [height, width] of what the network looks at.
  // Returns {values: Float32Array (rows * columns, depth), rows, columns}.
  features(pixels, height, width, seen, blocks) {
    const { mean, spread } = this.settings,
      scaled = new Float32Array(pixels.length);
    for (let at = 0; at < pixels.length; at++) scaled[at] = (pixels[at] / 255 - mean[at % 3]) / spread[at % 3];
    const result = tf.tidy(() => {
      let values = tf.tensor(scaled, [1, height, width, 3]),
        input;
      if (seen[0] !== height || seen[1] !== width) values = tf.image.resizeBilinear(values, seen, false, true);
      const parts = [];
      for (const { first, depthwise, add, block, options } of this.layers) {
        if (first) input = values;
        values = depthwise
          ? tf.fused.depthwiseConv2d({ x: values, ...options })
          : tf.fused.conv2d({ x: values, ...options });
        if (add) values = tf.add(values, input);
        if (blocks.includes(block)) parts.push(smooth(values));
        if (block === blocks.at(-1)) break;
      }
      const grid = parts[0].shape.slice(1, 3);
      const same = parts.map((part, number) => (number ? tf.image.resizeBilinear(part, grid, false, true) : part));
      return tf.concat(same, 3);
    });
    const [, rows, columns] = result.shape,
      values = result.dataSync();
    result.dispose();
    return { values, rows, columns };
  }
}

// The mean of 3 x 3 neighbours; beyond the border are zeros, as in PyTorch's avg_pool2d.
function smooth(values) {
  return tf.avgPool(
    tf.pad(values, [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ]),
    3,
    1,
    "valid",
  );
}
