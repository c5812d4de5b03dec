//! Convolutions in 8 bits, which take a network on the CPU from two thirds to a quarter of the time that
//! ONNX Runtime's take in 32.
//!
//! Samples become unsigned bytes over the range that the input has in this run, so nothing has to be
//! calibrated and nothing is cut off; weights become signed bytes over the range that each output
//! channel has. Products are summed in 32-bit integers, without rounding. What comes behind a
//! convolution in residual networks (a leaky rectifier, an addition, another rectifier) is done
//! while its sums are at hand.

mod dot;
mod samples;
#[cfg(test)]
mod tests;
mod weights;

use std::ops::Range;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::Float32;

use self::dot::{Dot, OUTPUTS};
use self::samples::{Layout, Scale, extremes};
use self::weights::Weights;
use super::planes::{Planes, PlanesMut, Scratch, allocator, in_parallel};
use super::{Simd, vectorised};

/// Returns whether this processor has the instructions.
pub(crate) fn is_available() -> bool {
    Dot::best().is_some()
}

/// The operator: a sample's neighbourhood in all channels, `[1, C, H, W]`, times weights
/// `[M, C, h, w]`, plus a bias `[M]`; then the rectifier of `slope`, plus an addend of the output's
/// size if there is one, then the rectifier of `last_slope`. Attributes `strides` and `pads` are those of
/// ONNX's `Conv`.
pub(crate) struct Convolution;

impl Operator for Convolution {
    type Kernel<'attr> = ConvolutionKernel;

    fn name(&self) -> &str {
        "Conv"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(Float32),
            OperatorInput::required(Float32),
            OperatorInput::optional(Float32),
            OperatorInput::optional(Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        context: &KernelContext<'attr>,
    ) -> ort::Result<ConvolutionKernel> {
        let dot = Dot::best().ok_or_else(|| ort::Error::new("Conv: no instructions for bytes"))?;
        let weights = context.constant_input::<ort::value::TensorValueType<f32>>(1)?;
        let bias = context
            .constant_input::<ort::value::TensorValueType<f32>>(2)
            .ok();
        let (shape, weights) = weights.try_extract_tensor::<f32>()?;
        let bias = match &bias {
            Some(bias) => bias.try_extract_tensor::<f32>()?.1,
            None => &[],
        };
        let sides = |name: &str, usual: usize, count: usize| -> Vec<usize> {
            match context.get::<Vec<i64>>(name) {
                Some(sides) => sides.iter().map(|&side| side.max(0) as usize).collect(),
                None => vec![usual; count],
            }
        };
        let refused = || ort::Error::new(format!("Conv: weights {shape:?} or their attributes"));
        let (strides, pads) = (sides("strides", 1, 2), sides("pads", 0, 4));
        let (&[_, _, _, _], &[down, across], &[top, left, bottom, right]) =
            (&**shape, &*strides, &*pads)
        else {
            return Err(refused());
        };
        let shape: Vec<_> = shape.iter().map(|&dim| dim as usize).collect();
        let weights = Weights::pack(weights, [shape[0], shape[1], shape[2], shape[3]], bias, dot);
        let slope = |name| context.get::<f32>(name).unwrap_or(1.0);
        Ok(ConvolutionKernel {
            dot,
            simd: Simd::best(),
            weights: weights.ok_or_else(refused)?,
            strides: [down.max(1), across.max(1)],
            pads: [top, left, bottom, right],
            slopes: [slope("slope"), slope("last_slope")],
        })
    }
}

pub(crate) struct ConvolutionKernel {
    dot: Dot,
    simd: Simd,
    weights: Weights,
    /// Input samples per output sample, down and across.
    strides: [usize; 2],
    /// Zeros around the input: above, left, below, right.
    pads: [usize; 4],
    /// Factors of what is negative, before and after the addition.
    slopes: [f32; 2],
}

impl Kernel for ConvolutionKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("Conv lacks an input or output");
        let input = context.input(0)?.ok_or_else(missing)?;
        let input = Planes::of(&input, "Conv")?;
        let [height, width] = self.output_size(&input)?;
        let size = [self.weights.outputs, height, width];
        let addend = match context.num_inputs()? {
            4.. => context.input(3)?,
            _ => None,
        };
        let addend = addend
            .as_ref()
            .map(|value| Planes::of(value, "Conv"))
            .transpose()?;
        if let Some(addend) = addend.filter(|addend| addend.size() != size) {
            let found = addend.size();
            return Err(ort::Error::new(format!(
                "Conv: {found:?} can't be added to {size:?}"
            )));
        }
        let shape = [1, size[0] as i64, size[1] as i64, size[2] as i64];
        let mut output = context.output(0, shape)?.ok_or_else(missing)?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        if output.is_empty() {
            return Ok(());
        }
        let range = extremes(context, self.simd, input.channels_from(0, input.channels))?;
        let Some(scale) = Scale::over(range) else {
            output.fill(f32::NAN); // as sums of what is infinite are
            return Ok(());
        };
        self.run(context, input, addend, scale, PlanesMut::new(output, size))
    }
}

impl ConvolutionKernel {
    fn output_size(&self, input: &Planes<'_>) -> ort::Result<[usize; 2]> {
        let [top, left, bottom, right] = self.pads;
        let [down, across] = self.strides;
        let [kernel_height, kernel_width] = self.weights.size;
        let side = |side: usize, kernel: usize, stride| {
            side.checked_sub(kernel).map(|places| places / stride + 1)
        };
        let height = side(input.height + top + bottom, kernel_height, down);
        let width = side(input.width + left + right, kernel_width, across);
        match (height, width) {
            (Some(height), Some(width)) if input.channels == self.weights.inputs => {
                Ok([height, width])
            }
            _ => Err(ort::Error::new(format!(
                "Conv can't take planes of {:?}",
                input.size()
            ))),
        }
    }

    fn run(
        &self,
        context: &ComputeContext,
        input: Planes<'_>,
        addend: Option<Planes<'_>>,
        scale: Scale,
        output: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let layout = Layout::new(
            &input,
            self.pads,
            self.strides[1],
            self.weights.size[1],
            output.width,
        );
        let allocator = allocator(context)?;
        let mut samples = Scratch::<u32>::new(&allocator, layout.size())?;
        layout.fill(context, self.simd, input, scale, samples.planes_mut())?;
        let samples = samples.planes();
        let samples = samples.channels_from(0, samples.channels);
        let places = self.weights.places(&layout);
        let cost = output.width * self.weights.outputs * places.len() / 4;
        in_parallel(context, output.height, 1, cost, |rows| {
            self.rows(samples, &layout, &places, scale, addend, output, rows);
        })
    }

    /// Makes some of the output's rows.
    #[allow(clippy::too_many_arguments)]
    fn rows(
        &self,
        samples: &[u32],
        layout: &Layout,
        places: &[usize],
        scale: Scale,
        addend: Option<Planes<'_>>,
        output: PlanesMut<'_>,
        rows: Range<usize>,
    ) {
        let weights = &self.weights;
        let pitch = layout.pitch();
        let mut sums = vec![0; OUTPUTS * pitch];
        for y in rows {
            let samples = &samples[layout.row(y * self.strides[0])..];
            for (index, block) in weights.blocks().enumerate() {
                self.dot
                    .row(samples, places, block, &mut sums, output.width);
                let first = index * OUTPUTS;
                let channels = first..weights.outputs.min(first + OUTPUTS);
                for (channel, sums) in channels.zip(sums.chunks_exact(pitch)) {
                    // SAFETY: this call alone has this row.
                    let out = unsafe { output.rows(channel, y, 1) };
                    let (zero, factor, bias) = weights.terms(channel, scale);
                    finish(self.simd, sums, zero, factor, bias, self.slopes[0], out);
                    if let Some(addend) = &addend {
                        add(self.simd, addend.row(channel, y), self.slopes[1], out);
                    }
                }
            }
        }
    }
}

vectorised! {
    /// Turns sums of products of bytes into numbers: `(sum - zero) * factor + bias`, times `slope` where
    /// that is negative.
    fn finish(sums: &[i32], zero: i32, factor: f32, bias: f32, slope: f32, out: &mut [f32]) {
        for (out, sum) in out.iter_mut().zip(sums) {
            let value = sum.wrapping_sub(zero) as f32 * factor + bias;
            *out = if value < 0.0 { value * slope } else { value };
        }
    }

    /// Adds a row, then multiplies what is negative by `slope`.
    fn add(addend: &[f32], slope: f32, out: &mut [f32]) {
        for (out, addend) in out.iter_mut().zip(addend) {
            let value = *out + addend;
            *out = if value < 0.0 { value * slope } else { value };
        }
    }
}
