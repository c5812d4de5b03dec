//! Output of a run of a network, and how it is read.

use ort::value::DynValue;

use super::prepared::new_id;
use crate::frames::{Motion, Picture};

/// Output of a network: a picture, or flow and mask.
pub(crate) struct NetworkOutput {
    /// Number that tells it from all other pictures.
    id: u64,
    values: Vec<DynValue>,
}

impl std::fmt::Debug for NetworkOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NetworkOutput").field(&self.id).finish()
    }
}

impl NetworkOutput {
    /// Creates the output from the values that a run gave.
    pub(crate) fn new(values: Vec<DynValue>) -> Self {
        Self {
            id: new_id(),
            values,
        }
    }

    /// Returns a number that no other answer has or had, and no picture that was prepared.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Its values, wherever they lie.
    pub(crate) fn values(&self) -> &[DynValue] {
        &self.values
    }

    /// The planes of a picture of the padded size.
    pub(crate) fn picture(&self, (width, height): (usize, usize)) -> Result<&[f32], String> {
        let (dims, data) = self.tensor(0)?;
        if dims != [1, 3, height, width] {
            return Err(format!("a picture {dims:?}, not [1, 3, {height}, {width}]"));
        }
        Ok(data)
    }

    /// Cuts the padding off a picture of the padded size, and what is beyond 0 and 1, for one of
    /// the right size.
    pub(crate) fn crop(
        &self,
        (padded_width, padded_height): (usize, usize),
        into: &mut Picture,
    ) -> Result<(), String> {
        let data = self.picture((padded_width, padded_height))?;
        let (width, height) = (into.width, into.height);
        let planes = data.chunks_exact(padded_width * padded_height);
        for (plane, target) in planes.zip(into.data.chunks_exact_mut(width * height)) {
            let rows = plane.chunks_exact(padded_width);
            for (row, target) in rows.zip(target.chunks_exact_mut(width)) {
                for (target, &value) in target.iter_mut().zip(row) {
                    // what is no number becomes 0
                    *target = if value > 0.0 { value.min(1.0) } else { 0.0 };
                }
            }
        }
        Ok(())
    }

    /// Returns motion between pictures of `size` within the padded size.
    pub(crate) fn motion(
        &self,
        size: (usize, usize),
        (padded_width, padded_height): (usize, usize),
    ) -> Result<Motion<'_>, String> {
        let (flow_dims, flow) = self.tensor(0)?;
        let (mask_dims, mask) = self.tensor(1)?;
        let [_, _, height, width] = flow_dims;
        let stride = padded_width.checked_div(width).unwrap_or(0);
        if flow_dims != [1, 4, height, width]
            || mask_dims != [1, 1, height, width]
            || (width * stride, height * stride) != (padded_width, padded_height)
        {
            return Err(format!(
                "flow {flow_dims:?} and mask {mask_dims:?} for a picture of {padded_width}x{padded_height}: \
                 expected [1, 4, h, w] and [1, 1, h, w] on a grid a whole number of times coarser"
            ));
        }
        let stride = stride as f32;
        Ok(Motion {
            width,
            height,
            cover_x: size.0 as f32 / stride,
            cover_y: size.1 as f32 / stride,
            unit: 1.0 / stride,
            flow,
            mask,
        })
    }

    /// Returns whether two answers are the same to the last bit.
    pub(crate) fn equals(&self, other: &Self) -> Result<bool, String> {
        let bits = |value: &f32| value.to_bits();
        for index in 0..self.values.len() {
            let (mine, its) = (self.tensor(index)?, other.tensor(index)?);
            if mine.0 != its.0 || !mine.1.iter().map(bits).eq(its.1.iter().map(bits)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns by how much two answers to the same question differ, on average: flow in pixels or a
    /// picture, and the mask.
    pub(crate) fn distance(&self, other: &Self) -> Result<[f64; 2], String> {
        let mut distances = [0.0; 2];
        for (index, distance) in distances.iter_mut().enumerate().take(self.values.len()) {
            let ((mine, a), (its, b)) = (self.tensor(index)?, other.tensor(index)?);
            if mine != its {
                return Err(format!("an output {its:?}, not {mine:?}"));
            }
            let apart = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
            *distance = apart.sum::<f64>() / a.len().max(1) as f64;
        }
        Ok(distances)
    }

    /// One output with its shape as numbers.
    fn tensor(&self, index: usize) -> Result<([usize; 4], &[f32]), String> {
        let value = self.values.get(index).ok_or("an output is missing")?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|error| error.to_string())?;
        let known = <[i64; 4]>::try_from(&**shape).ok();
        let known = known.filter(|dims| dims.iter().all(|dim| *dim >= 0));
        let dims = known.ok_or_else(|| format!("an output of shape {:?}", &**shape))?;
        // none is negative
        Ok((dims.map(|dim| usize::try_from(dim).unwrap_or(0)), data))
    }
}
