//! Weights as bytes.

use super::dot::{Dot, OUTPUTS};
use super::samples::{CHANNELS, Layout, Scale};

/// The weights of a convolution, in the order in which they are needed.
pub(super) struct Weights {
    /// Channels it takes and gives.
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Height and width of what one output sample sees.
    pub(super) size: [usize; 2],
    /// Words of [`CHANNELS`] input channels: for each [`OUTPUTS`] output channels, for each place,
    /// one for each of them.
    words: Vec<u32>,
    channels: Vec<Channel>,
}

/// An output channel.
struct Channel {
    /// Value of a weight of 1.
    scale: f32,
    /// Sum of all weights.
    sum: i32,
    bias: f32,
}

impl Weights {
    /// Packs weights `[outputs, inputs, height, width]`, or returns nothing if there are others, or sums
    /// of that many could overflow. `bias` may be empty.
    pub(super) fn pack(
        weights: &[f32],
        [outputs, inputs, height, width]: [usize; 4],
        bias: &[f32],
        dot: Dot,
    ) -> Option<Self> {
        let each = inputs.checked_mul(height)?.checked_mul(width)?;
        let fits = each > 0 && each <= i32::MAX as usize / (255 * 127);
        if !fits || outputs == 0 || weights.len() != each.checked_mul(outputs)? {
            return None;
        }
        if !bias.is_empty() && bias.len() != outputs {
            return None;
        }
        let places = inputs.div_ceil(CHANNELS) * height * width;
        let mut words = vec![0; outputs.div_ceil(OUTPUTS) * places * OUTPUTS];
        let mut channels = Vec::with_capacity(outputs);
        for (output, weights) in weights.chunks_exact(each).enumerate() {
            let most = weights
                .iter()
                .fold(0.0, |most: f32, weight| most.max(weight.abs()));
            let scale = if most > 0.0 {
                most / dot.largest_weight()
            } else {
                1.0
            };
            let mut sum = 0;
            for (index, weight) in weights.iter().enumerate() {
                let byte = (weight / scale).round() as i8;
                sum += i32::from(byte);
                let (input, cell) = (index / (height * width), index % (height * width));
                let place = input / CHANNELS * height * width + cell;
                let block = output / OUTPUTS * places + place;
                words[block * OUTPUTS + output % OUTPUTS] |=
                    u32::from(byte as u8) << (8 * (input % CHANNELS));
            }
            let bias = bias.get(output).copied().unwrap_or(0.0);
            channels.push(Channel { scale, sum, bias });
        }
        Some(Self {
            inputs,
            outputs,
            size: [height, width],
            words,
            channels,
        })
    }

    /// The words for each [`OUTPUTS`] output channels.
    pub(super) fn blocks(&self) -> std::slice::ChunksExact<'_, u32> {
        let blocks = self.outputs.div_ceil(OUTPUTS);
        self.words.chunks_exact(self.words.len() / blocks)
    }

    /// Offsets of the samples that the words of a block belong to, from the first one that an output
    /// sample sees.
    pub(super) fn places(&self, layout: &Layout) -> Vec<usize> {
        let [height, width] = self.size;
        let mut places = Vec::with_capacity(self.inputs.div_ceil(CHANNELS) * height * width);
        for group in 0..self.inputs.div_ceil(CHANNELS) {
            for y in 0..height {
                places.extend((0..width).map(|x| layout.place(group, y, x)));
            }
        }
        places
    }

    /// Returns the terms that make a number of an output channel's sum: minus, times, plus.
    pub(super) fn terms(&self, channel: usize, samples: Scale) -> (i32, f32, f32) {
        let channel = &self.channels[channel];
        let zero = channel.sum * i32::from(samples.zero);
        (zero, channel.scale * samples.step, channel.bias)
    }
}
