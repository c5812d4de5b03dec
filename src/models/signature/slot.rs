//! An input or output as the graph declares it.

use std::fmt;

use onnx_graph::proto::{TensorProto, ValueInfoProto};
use onnx_graph::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, LONGEST_NAME, abbreviate};

use super::types::Layout;

/// An input or output as the graph declares it.
pub(crate) struct Slot {
    pub(crate) name: String,
    element: i32,
    /// `None` when not even the number of dimensions is known; -1 for an unknown dimension.
    dims: Option<Vec<i64>>,
}

/// The dimensions of what may be a picture; -1 where they are unknown.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) batch: i64,
    pub(crate) channels: i64,
    pub(crate) height: i64,
    pub(crate) width: i64,
}

impl Slot {
    pub(crate) fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let shape = tensor.and_then(|t| t.shape.as_ref());
        Self {
            name: value.name.clone().unwrap_or_default(),
            element: tensor.and_then(|t| t.elem_type).unwrap_or(0),
            dims: shape.map(|shape| {
                let dims = shape.dim.iter();
                // 0 and less is how some exporters write what is open
                dims.map(|dim| dim.dim_value.filter(|&dim| dim > 0).unwrap_or(-1))
                    .collect()
            }),
        }
    }

    /// Its name without the number of the tensor that some converters add (`image:0`).
    pub(crate) fn stem(&self) -> &str {
        stem(&self.name)
    }

    /// Returns whether its numbers are of a kind that is converted where it differs from float32.
    pub(crate) fn is_float(&self) -> bool {
        self.element == FLOAT || self.is_other_float()
    }

    /// Returns whether they are of such a kind, and not float32.
    pub(crate) fn is_other_float(&self) -> bool {
        matches!(self.element, FLOAT16 | BFLOAT16 | DOUBLE)
    }

    /// Returns the type of its numbers.
    pub(crate) fn element(&self) -> &'static str {
        match self.element {
            FLOAT => "float32",
            2 => "uint8",
            3 => "int8",
            4 => "uint16",
            5 => "int16",
            6 => "int32",
            7 => "int64",
            8 => "text",
            9 => "bool",
            FLOAT16 => "float16",
            DOUBLE => "float64",
            BFLOAT16 => "bfloat16",
            _ => "another type",
        }
    }

    /// Returns whether it may hold this number, and no other.
    pub(crate) fn holds(&self, number: f64) -> bool {
        let dims = vec![1; self.rank().unwrap_or(0)];
        self.may_be_scalar() && TensorProto::filled(self.element, &dims, number).is_some()
    }

    /// Returns whether they are whole numbers.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.element, 2..=7 | 12 | 13)
    }

    /// Its dimensions in the given order, if there are four or their number is unknown.
    pub(crate) fn extent(&self, layout: Layout) -> Option<Extent> {
        let dims = match self.dims.as_deref() {
            None => [-1; 4],
            Some(dims) => <[i64; 4]>::try_from(dims).ok()?,
        };
        let [batch, channels, height, width] = match layout {
            Layout::Nchw => dims,
            Layout::Nhwc => [dims[0], dims[3], dims[1], dims[2]],
        };
        Some(Extent {
            batch,
            channels,
            height,
            width,
        })
    }

    /// The order of its dimensions, if one of these numbers of channels gives it away.
    pub(crate) fn layout(&self, channels: &[i64]) -> Option<Layout> {
        match self.dims.as_deref()? {
            [_, c, _, _] if channels.contains(c) => Some(Layout::Nchw),
            [_, _, _, c] if channels.contains(c) => Some(Layout::Nhwc),
            _ => None,
        }
    }

    /// The number of its dimensions, where it is known.
    pub(crate) fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }

    /// Returns whether it may hold one value: every dimension that is known is 1.
    pub(crate) fn may_be_scalar(&self) -> bool {
        let dims = self.dims.as_deref().unwrap_or_default();
        dims.len() <= 4 && dims.iter().all(|dim| matches!(dim, -1 | 1))
    }
}

/// A name without the number of the tensor that some converters add (`image:0`).
pub(crate) fn stem(name: &str) -> &str {
    name.split_once(':').map_or(name, |(stem, _)| stem)
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = self.element();
        write!(f, "`{}` {element}", abbreviate(&self.name, LONGEST_NAME))?;
        let Some(dims) = &self.dims else {
            return f.write_str(" of unknown shape");
        };
        if dims.len() > 8 {
            return write!(f, " of {} dimensions", dims.len());
        }
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| match dim {
                -1 => "?".into(),
                dim => dim.to_string(),
            })
            .collect();
        write!(f, " [{}]", dims.join(","))
    }
}
