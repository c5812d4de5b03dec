//! Statements about a model, as text.

use super::model::LONGEST_MESSAGE;
use crate::models::signature::metadata::{MAX_ALIGN, Statement};

/// Takes any bytes as `model-info`, and as a file beside a model.
pub fn statement(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for found in [Statement::parse(&text), Statement::from_toml(&text)] {
        match found {
            Ok(statement) => {
                let align = statement.align;
                assert!(align.is_none_or(|align| (1..=MAX_ALIGN).contains(&align)));
            }
            Err(why) => assert!(why.len() <= LONGEST_MESSAGE, "{} bytes", why.len()),
        }
    }
}
