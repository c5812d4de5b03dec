//! Formulas of a graph as sums of products, so that it does not matter how one is written.

use std::cell::Cell;
use std::collections::HashMap;

use super::edit::is_onnx;
use super::proto::{GraphProto, NodeProto, TensorProto};

/// Sums of more terms, and products of more factors, are given up.
const MOST_TERMS: usize = 16;
const MOST_FACTORS: usize = 4;
/// Formulas nested deeper are given up.
pub(crate) const DEEPEST: usize = 64;
/// Formulas that take more nodes to read are given up.
const MOST_STEPS: usize = 1000;
/// Numbers that differ by less are the same: they may be stored in 16 bits.
pub(crate) const SAME: f64 = 1e-3;

/// A number that a graph computes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Atom {
    /// A value of the graph.
    Value(String),
    /// The sigmoid of a value.
    Sigmoid(String),
}

/// A sum of products of atoms, each with a factor; the products are sorted, and no two alike.
pub(crate) type Sum = Vec<(f64, Vec<Atom>)>;

/// Reads formulas out of a graph.
pub(crate) struct Formulas<'a> {
    producers: HashMap<&'a str, &'a NodeProto>,
    stored: HashMap<&'a str, &'a TensorProto>,
    steps: Cell<usize>,
}

impl<'a> Formulas<'a> {
    pub(crate) fn of(graph: &'a GraphProto) -> Self {
        let outputs = graph
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)));
        let stored = graph
            .initializer
            .iter()
            .filter_map(|tensor| Some((tensor.name.as_deref()?, tensor)));
        Self {
            producers: outputs.collect(),
            stored: stored.collect(),
            steps: Cell::new(0),
        }
    }

    /// The node of ONNX's own that has `name` as its first output.
    pub(crate) fn producer(&self, name: &str) -> Option<&'a NodeProto> {
        let node = self.producers.get(name)?;
        let first = node.output.first().is_some_and(|output| output == name);
        (first && is_onnx(node.domain.as_deref())).then_some(*node)
    }

    /// A value as a sum of products; `None` where that gets out of hand.
    pub(crate) fn expand(&self, name: &str) -> Option<Sum> {
        self.steps.set(0);
        self.expand_at(name, 0)
    }

    fn expand_at(&self, name: &str, depth: usize) -> Option<Sum> {
        self.steps.set(self.steps.get() + 1);
        if depth > DEEPEST || self.steps.get() > MOST_STEPS {
            return None;
        }
        if let Some(number) = self.number(name) {
            return Some(vec![(number, vec![])]);
        }
        let itself = || Some(vec![(1.0, vec![Atom::Value(name.into())])]);
        let Some(node) = self.producer(name) else {
            return itself();
        };
        let input = |index: usize| {
            let input = node.input.get(index).filter(|name| !name.is_empty())?;
            self.expand_at(input, depth + 1)
        };
        match node.op_type() {
            "Identity" | "Cast" => input(0),
            "Neg" => add(vec![], &input(0)?, -1.0),
            "Add" | "Sum" => {
                (0..node.input.len()).try_fold(vec![], |sum, index| add(sum, &input(index)?, 1.0))
            }
            "Sub" => add(input(0)?, &input(1)?, -1.0),
            "Mul" => multiply(&input(0)?, &input(1)?),
            "Div" => match self.number(node.input.get(1)?) {
                Some(divisor) if divisor != 0.0 => add(vec![], &input(0)?, 1.0 / divisor),
                _ => itself(),
            },
            "Sigmoid" => {
                let of = node.input.first()?;
                let sigmoid = |of| vec![Atom::Sigmoid(self.plain(of).into())];
                Some(match self.opposite(of) {
                    // sigmoid(-x) = 1 - sigmoid(x)
                    Some(of) => vec![(1.0, vec![]), (-1.0, sigmoid(of))],
                    None => vec![(1.0, sigmoid(of))],
                })
            }
            _ => itself(),
        }
    }

    /// The value behind conversions that leave it as it is.
    fn plain<'s>(&'s self, mut name: &'s str) -> &'s str {
        for _ in 0..DEEPEST {
            match self.producer(name) {
                Some(node) if matches!(node.op_type(), "Identity" | "Cast") => {
                    name = node.input.first().map_or("", String::as_str);
                }
                _ => break,
            }
        }
        name
    }

    /// Returns the value that a value is the negative of.
    fn opposite<'s>(&'s self, name: &'s str) -> Option<&'s str> {
        let node = self.producer(self.plain(name))?;
        let (first, second) = (node.input.first()?, node.input.get(1));
        let is = |name: &str, wanted| self.number(name) == Some(wanted);
        match (node.op_type(), second) {
            ("Neg", None) => Some(first),
            ("Sub", Some(second)) if is(first, 0.0) => Some(second),
            ("Mul", Some(second)) if is(second, -1.0) => Some(first),
            ("Mul", Some(second)) if is(first, -1.0) => Some(second),
            _ => None,
        }
    }

    /// The one number that a constant holds.
    fn number(&self, name: &str) -> Option<f64> {
        let name = self.plain(name);
        if let Some(tensor) = self.stored.get(name) {
            return tensor.number();
        }
        let node = self.producer(name)?;
        if node.op_type() != "Constant" {
            return None;
        }
        node.attribute.iter().find_map(|attribute| {
            let number = attribute.t.as_ref().and_then(TensorProto::number);
            number.or(attribute.f.map(f64::from))
        })
    }
}

/// Returns `sum + factor * other`, like terms taken together; `None` if that has too many.
pub(crate) fn add(mut sum: Sum, other: &Sum, factor: f64) -> Option<Sum> {
    for (number, atoms) in other {
        let number = factor * number;
        match sum.iter_mut().find(|(_, known)| known == atoms) {
            Some((known, _)) => *known += number,
            None => sum.push((number, atoms.clone())),
        }
    }
    sum.retain(|(number, _)| number.abs() > SAME);
    (sum.len() <= MOST_TERMS).then_some(sum)
}

fn multiply(a: &Sum, b: &Sum) -> Option<Sum> {
    let mut product = Sum::new();
    for (x, left) in a {
        for (y, right) in b {
            let mut atoms = [left.as_slice(), right].concat();
            atoms.sort();
            if atoms.len() > MOST_FACTORS {
                return None;
            }
            product = add(product, &vec![(x * y, atoms)], 1.0)?;
        }
    }
    Some(product)
}
