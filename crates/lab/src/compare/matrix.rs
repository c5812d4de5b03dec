//! Configurations: every combination of the settings asked for, and the ways to compare with.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::methods::Method;

/// Settings of the element, or another way, at one multiplier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Configuration {
    /// The name for folders and tables.
    pub(super) name: String,
    pub(super) method: String,
    /// Output frames per input frame.
    pub(super) multiplier: usize,
    /// Properties of the element by name and text.
    pub(super) properties: Vec<(String, String)>,
}

impl Configuration {
    /// Returns the method; none where a file names one that there isn't.
    pub(super) fn method(&self) -> Option<Method> {
        let all = <Method as clap::ValueEnum>::value_variants();
        all.iter()
            .copied()
            .find(|method| id(*method) == self.method)
    }

    /// Returns whether it is the element's, not a way to compare with.
    pub(super) fn is_ours(&self) -> bool {
        self.method == id(Method::Vfi)
    }
}

/// Returns a method's name on the command line.
fn id(method: Method) -> String {
    let value = clap::ValueEnum::to_possible_value(&method);
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A property and the values it takes in turn.
pub(super) type Axis<'a> = (&'static str, &'a [String]);

/// Returns all configurations: at each multiplier those of the element, then the other methods.
pub(super) fn expand(
    multipliers: &[usize],
    axes: &[Axis<'_>],
    fixed: &[(String, String)],
    methods: &[Method],
) -> Vec<Configuration> {
    let mut combinations = vec![Vec::new()];
    for (property, values) in axes.iter().filter(|(_, values)| !values.is_empty()) {
        let longer = combinations.iter().flat_map(|before: &Vec<_>| {
            values.iter().map(|value| {
                let mut all = before.clone();
                all.push(((*property).to_owned(), value.clone()));
                all
            })
        });
        combinations = longer.collect();
    }
    let mut all = Vec::new();
    for &multiplier in multipliers {
        for &method in methods {
            let settings = match method {
                Method::Vfi => combinations.as_slice(),
                _ => &[vec![]],
            };
            all.extend(settings.iter().map(|settings| Configuration {
                name: name(multiplier, method, settings),
                method: id(method),
                multiplier,
                properties: match method {
                    Method::Vfi => settings.iter().chain(fixed).cloned().collect(),
                    _ => Vec::new(),
                },
            }));
        }
    }
    let mut unique: Vec<Configuration> = Vec::new();
    for mut configuration in all {
        let same = |other: &Configuration| Configuration {
            name: configuration.name.clone(),
            ..other.clone()
        };
        if unique.iter().any(|other| same(other) == configuration) {
            continue;
        }
        // Two files of one name in two folders.
        while unique.iter().any(|other| other.name == configuration.name) {
            configuration.name.push('+');
        }
        unique.push(configuration);
    }
    unique
}

/// Returns a name such as `x2_vfi_rife-4.6_downscale-2`, fit for a folder.
fn name(multiplier: usize, method: Method, settings: &[(String, String)]) -> String {
    let mut name = format!("x{multiplier}_{}", id(method));
    for (property, value) in settings {
        name.push('_');
        if property == "model" {
            let stem = Path::new(value).file_name().unwrap_or_default();
            name += stem.to_string_lossy().trim_end_matches(".onnx");
        } else {
            name += &format!("{property}-{value}");
        }
    }
    safe(&name)
}

/// Returns a text fit for the name of a folder and of a link.
pub(super) fn safe(text: &str) -> String {
    let fit = |c: char| match c {
        c if c.is_alphanumeric() => c,
        '.' | '-' | '_' | '+' => c,
        _ => '-',
    };
    text.chars().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_every_combination_once() {
        let texts = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        let (models, downscale) = (
            texts(&["/a/rife 4.onnx", "/b/rife 4.onnx"]),
            texts(&["1", "2", "1"]),
        );
        let fixed = [("device".to_owned(), "0".to_owned())];
        let axes: [Axis<'_>; 3] = [
            ("model", &models),
            ("downscale", &downscale),
            ("upscale", &[]),
        ];
        let all = expand(&[2, 4], &axes, &fixed, &[Method::Vfi, Method::Blend]);
        let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names[..5],
            [
                "x2_vfi_rife-4_downscale-1",
                "x2_vfi_rife-4_downscale-2",
                "x2_vfi_rife-4_downscale-1+",
                "x2_vfi_rife-4_downscale-2+",
                "x2_blend"
            ]
        );
        assert_eq!(names.len(), 10);
        assert_eq!(all[0].properties.len(), 3);
        assert!(all[4].properties.is_empty() && !all[4].is_ours());
        assert_eq!(all[4].method(), Some(Method::Blend));
    }
}
