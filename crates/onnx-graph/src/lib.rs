//! ONNX files as data: reading within bounds, editing, writing and building them.
//!
//! ```
//! # fn main() -> Result<(), String> {
//! use onnx_graph::build::GraphBuilder;
//!
//! let model = GraphBuilder::new("double", 17)
//!     .input("x", &[1, 3, -1, -1])
//!     .constant("two", &[1], &[2.0])
//!     .node("Mul", &["x", "two"], &["y"])
//!     .output("y", &[1, 3, -1, -1])
//!     .finish();
//! let read = onnx_graph::decode(&onnx_graph::encode(&model))?;
//! assert_eq!(read, model);
//! # Ok(())
//! # }
//! ```

mod algebra;
pub mod append;
pub mod blend;
mod bounds;
pub mod build;
mod codec;
pub mod convolutions;
pub mod edit;
mod external;
pub mod functions;
pub mod half;
mod numbers;
pub mod proto;
mod text;
pub mod types;
pub mod widen;

pub use bounds::{MAX_FILE_BYTES, MAX_NAME, MAX_NODES, MAX_STRUCTURE};
pub use codec::{WEIGHTS, decode, decode_shared, encode, encode_beside, files_beside};
pub use external::FilesBeside;
pub use text::{LONGEST_NAME, abbreviate};
pub use types::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, INT64, UINT8, UINT16};
