//! The frame of a page that asks no host for anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Returns a page of this title. `policy` is its Content-Security-Policy, `style` its CSS.
pub(crate) fn page(title: &str, policy: &str, style: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    }
}
