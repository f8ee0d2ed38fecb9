// The Pseudo-Invertible Encoder (arXiv 2111.00619), in the order of pie_cli/models/pie.py.
import { CheckerboardDownsample, Split, symmetricRange } from "./bijections.js";
import { Coupling, scaleOf } from "./couplings.js";
import { network } from "./networks.js";
import { HouseholderConv1x1, HouseholderLinear } from "./rotations.js";

// One PIE x ↔ [z, r − g(z)]: Kl times (rotation, coupling), then the split (section 4.1, Fig. 4).
class PIEBlock {
  constructor(tensors, prefix, config, entry, shape, kept) {
    const [features, ...sides] = shape, isConv = sides.length > 0;
    const pixels = isConv ? sides[0] * sides[1] : 1;
    const own = `${prefix}.bijections`;
    let at = isConv ? 1 : entry.flattens ? 1 : 0;
    this.flow = entry.downsample ? [entry.downsample] : [];
    for (let k = 0; k < config.couplings; k++, at += 2) {
      const vectors = tensors[`${own}.${at}.vectors`], q = tensors[`${own}.${at}.q`];
      this.flow.push(isConv ? new HouseholderConv1x1(vectors, q, pixels) : new HouseholderLinear(vectors, q));
      const [net1, net2] = [1, 2].map((n) => network(tensors, `${own}.${at + 1}.net${n}`, sides));
      this.flow.push(new Coupling(features, pixels, net1, net2, scaleOf(config, isConv)));
    }
    const g = network(tensors, `${own}.${at}.g`, sides);
    this.split = new Split(kept * pixels, (features - kept) * pixels, g);
  }

  analyse(x, batch) {
    return this.split.part(this.flow.reduce((y, bijection) => bijection.map(y, batch), x), batch);
  }

  // F⁻¹([z, g(z) + deviation]) (Eq. 4, 20)
  decode(z, deviation, batch) {
    const y = this.split.unite(z, deviation, batch);
    return this.flow.reduceRight((x, bijection) => bijection.inverse(x, batch), y);
  }
}

export class PIE {
  constructor(config, tensors) {
    this.imageShape = config.image_shape;
    this.latentDim = config.latent_dim;
    this.blocks = [];
    const add = (...rest) => {
      this.blocks.push(new PIEBlock(tensors, `blocks.${this.blocks.length}`, config, ...rest));
    };
    let [channels, height, width] = config.image_shape;
    for (let halving = 0; halving < config.conv_blocks; halving++) {
      const downsample = new CheckerboardDownsample([channels, height, width]);
      [height, width] = [height / 2, width / 2];
      add({ downsample }, [4 * channels, height, width], 2 * channels);
      channels *= 2;
    }
    const sizes = [channels * height * width, ...config.linear_dims, config.latent_dim, config.latent_dim];
    for (let i = 1; i < sizes.length; i++) add({ flattens: i === 1 }, [sizes[i - 1]], sizes[i]);
    this.residualSizes = this.blocks.map((block) => block.split.discarded).filter((size) => size > 0);
  }

  // Images (B, C, H, W) in [0, 1] to z and the residuals r_l − g_l(z_l), level by level (Eq. 14–16).
  analyse(x, batch = 1) {
    let y = symmetricRange.map(x), deviation;
    const residuals = [];
    for (const block of this.blocks) {
      [y, deviation] = block.analyse(y, batch);
      if (block.split.discarded) residuals.push(deviation);
    }
    return { z: y, residuals };
  }

  encode(x, batch = 1) {
    return this.analyse(x, batch).z;
  }

  // F⁻¹([z, g(z)]), level by level (Eq. 4, 15), with the `keep` residuals nearest to z; with all of them, exact.
  decode(z, batch = 1, residuals = [], keep = residuals.length) {
    const kept = keep ? residuals.slice(-keep) : [];
    let y = z;
    for (const block of [...this.blocks].reverse())
      y = block.decode(y, block.split.discarded ? kept.pop() : undefined, batch);
    return symmetricRange.inverse(y);
  }
}
