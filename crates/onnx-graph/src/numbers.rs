//! The numbers in stored tensors.

use half::f16;

use super::proto::TensorProto;
use super::types::{DOUBLE, FLOAT, FLOAT16, INT64};

/// Constants of more elements are not looked at.
const MOST: usize = 64;

impl TensorProto {
    /// The number that every element of a small tensor is.
    pub fn number(&self) -> Option<f64> {
        let numbers = self.numbers()?;
        let first = *numbers.first()?;
        numbers
            .iter()
            .all(|number| *number == first)
            .then_some(first)
    }

    /// All numbers of a small tensor, in its order.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        fn each<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
            let (parts, rest) = raw.as_chunks();
            (rest.is_empty() && parts.len() <= MOST)
                .then(|| parts.iter().map(|part| read(*part)).collect())
        }
        let few = |values: &mut dyn Iterator<Item = f64>| Some(values.take(MOST + 1).collect());
        let numbers: Vec<f64> = match (self.data_type?, self.raw_data.as_deref()) {
            (FLOAT, Some(raw)) => each(raw, |part| f32::from_le_bytes(part).into())?,
            (FLOAT, None) => few(&mut self.float_data.iter().map(|v| f64::from(*v)))?,
            (FLOAT16, Some(raw)) => each(raw, |part| f16::from_le_bytes(part).into())?,
            (FLOAT16, None) => few(&mut self
                .int32_data
                .iter()
                .map(|v| f16::from_bits(*v as u16).into()))?,
            (DOUBLE, Some(raw)) => each(raw, f64::from_le_bytes)?,
            (DOUBLE, None) => few(&mut self.double_data.iter().copied())?,
            (INT64, Some(raw)) => each(raw, |part| i64::from_le_bytes(part) as f64)?,
            (INT64, None) => few(&mut self.int64_data.iter().map(|v| *v as f64))?,
            _ => return None,
        };
        (numbers.len() <= MOST).then_some(numbers)
    }
}
