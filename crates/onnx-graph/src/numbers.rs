//! The numbers in stored tensors.

use half::{bf16, f16};

use super::proto::TensorProto;
use super::types::{BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT64, UINT8, UINT16};

/// Constants of more elements are not looked at.
const MOST: usize = 64;

impl TensorProto {
    /// A tensor of one number in each element; `None` if elements of that type can't hold it.
    pub fn filled(element: i32, dims: &[i64], number: f64) -> Option<Self> {
        /// The bytes of a whole number, if it is in the range of its type.
        fn whole<T: TryFrom<i64>, const N: usize>(
            number: f64,
            bytes: impl Fn(T) -> [u8; N],
        ) -> Option<Vec<u8>> {
            /// All whole numbers up to this one are floats.
            const MOST: f64 = (1_i64 << f64::MANTISSA_DIGITS) as f64;
            let is_whole = number.fract() == 0.0 && number.abs() <= MOST;
            let number = T::try_from(is_whole.then_some(number as i64)?).ok()?;
            Some(bytes(number).into())
        }
        let bytes = match element {
            FLOAT => (number as f32).to_le_bytes().into(),
            DOUBLE => number.to_le_bytes().into(),
            FLOAT16 => f16::from_f64(number).to_le_bytes().into(),
            BFLOAT16 => bf16::from_f64(number).to_le_bytes().into(),
            UINT8 => whole(number, u8::to_le_bytes)?,
            3 => whole(number, i8::to_le_bytes)?,
            UINT16 => whole(number, u16::to_le_bytes)?,
            5 => whole(number, i16::to_le_bytes)?,
            6 => whole(number, i32::to_le_bytes)?,
            INT64 => whole(number, i64::to_le_bytes)?,
            BOOL if matches!(number, 0.0 | 1.0) => vec![number as u8],
            12 => whole(number, u32::to_le_bytes)?,
            13 => whole(number, u64::to_le_bytes)?,
            _ => return None,
        };
        let count = dims.iter().try_fold(1_usize, |count, dim| {
            count.checked_mul(usize::try_from(*dim).ok()?)
        });
        Some(Self {
            dims: dims.to_vec(),
            data_type: Some(element),
            raw_data: Some(bytes.repeat(count.filter(|count| *count <= MOST)?).into()),
            ..Self::default()
        })
    }

    /// The number that every element of a small tensor is.
    pub fn number(&self) -> Option<f64> {
        let numbers = self.numbers()?;
        let first = *numbers.first()?;
        numbers
            .iter()
            .all(|number| *number == first)
            .then_some(first)
    }

    /// Returns all numbers of a small tensor, in its order.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_one_number_hold_what_their_type_can() {
        let number = |element, number| {
            let tensor = TensorProto::filled(element, &[1, 1], number)?;
            tensor.number()
        };
        for element in [FLOAT, FLOAT16, DOUBLE] {
            assert_eq!(number(element, 0.5), Some(0.5));
        }
        assert_eq!(number(INT64, 20.0), Some(20.0));
        for (element, number) in [
            (INT64, 0.5),
            (INT64, 1e300),
            (UINT8, 256.0),
            (UINT8, -1.0),
            (BOOL, 2.0),
        ] {
            assert_eq!(TensorProto::filled(element, &[], number), None, "{number}");
        }
        let scalar = TensorProto::filled(6, &[], 3.0).unwrap();
        assert_eq!(scalar.raw_data.as_deref(), Some(&[3, 0, 0, 0][..]));
    }
}
