//! Terms that the values of a graph are made of, so that those of both pictures that are the same
//! are found.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use onnx_graph::edit::{integer, is_onnx, names_read};
use onnx_graph::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use onnx_graph::types::stored;
use prost::Message;

use crate::models::signature::types::Inputs;

/// The dimension of channels.
pub(crate) const CHANNELS: i64 = 1;
/// Most channels of a value; of one with more, none is told from the others.
const MOST_CHANNELS: usize = 32;
/// Most features of an encoder; one that looks for more is left where it is. FILM's looks for some
/// twenty.
const MOST_FEATURES: usize = 64;

/// Operators that make a split worth while: an encoder has at least one of these. They are what
/// networks spend their time on, and whatever follows one is small beside it.
const WORK: [&str; 4] = ["Conv", "ConvTranspose", "MatMul", "Gemm"];

/// Operators that only move values about. They are left to the rest, where they stand behind all
/// work: features are not kept twice, nor joined to the picture.
const MOVES: [&str; 11] = [
    "Identity",
    "Concat",
    "Slice",
    "Split",
    "Gather",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Pad",
];

/// A feature's names: where it is the first picture's, and where it is the second one's. There is at least
/// one each; of what is computed twice, there are two.
pub(crate) type Names<'a> = [Vec<&'a str>; 2];

/// Returns whether a node is work.
pub(crate) fn is_work(node: &NodeProto) -> bool {
    is_onnx(node.domain.as_deref()) && WORK.contains(&node.op_type())
}

fn is_move(node: &NodeProto) -> bool {
    is_onnx(node.domain.as_deref()) && MOVES.contains(&node.op_type())
}

/// Numbers that a value is made of, beside what the network stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// None that come in: shapes at most.
    Nothing,
    /// The first picture's.
    First,
    /// The second one's.
    Second,
    /// Both pictures', or the phase.
    More,
}

impl Source {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (same, Self::Nothing) => same,
            (Self::Nothing, same) => same,
            (a, b) if a == b => a,
            _ => Self::More,
        }
    }
}

/// The number of a term.
type Term = usize;

/// Makeup of a term.
#[derive(PartialEq, Eq, Hash)]
enum Formula<'a> {
    /// A channel of a picture, whichever of the two.
    Picture(usize),
    /// An input that is left out.
    Absent,
    /// Numbers, with their dimensions and type.
    Stored(&'a [i64], i32, Cow<'a, [u8]>),
    /// Channels, one behind the other.
    Joined(Vec<Term>),
    /// An output of an operator.
    Of {
        domain: Option<&'a str>,
        operator: &'a str,
        attributes: Vec<u8>,
        inputs: Vec<Term>,
        output: usize,
    },
}

#[derive(Clone)]
struct Value {
    source: Source,
    term: Term,
    /// Source and term of each channel, where one can be told from the others.
    channels: Option<Vec<(Source, Term)>>,
}

/// All values of a graph.
pub(crate) struct Terms<'a> {
    graph: &'a GraphProto,
    /// Stored tensors and constants.
    stored: HashMap<&'a str, &'a TensorProto>,
    values: HashMap<&'a str, Value>,
    known: HashMap<Formula<'a>, Term>,
    /// For each term, whether there is work in it.
    works: Vec<bool>,
}

impl<'a> Terms<'a> {
    /// Reads a graph that takes pictures like this.
    pub(crate) fn of(graph: &'a GraphProto, inputs: &'a Inputs) -> Self {
        let mut terms = Self {
            graph,
            stored: stored(graph).collect(),
            values: HashMap::new(),
            known: HashMap::new(),
            works: Vec::new(),
        };
        for name in graph.input.iter().filter_map(|i| i.name.as_deref()) {
            if !terms.stored.contains_key(name) {
                let term = terms.new_term(false);
                terms.put(name, Source::More, term);
            }
        }
        let picture = |terms: &mut Self, source| {
            [0, 1, 2].map(|channel| (source, terms.term(Formula::Picture(channel), false)))
        };
        let both = [Source::First, Source::Second].map(|source| picture(&mut terms, source));
        match inputs {
            Inputs::Pictures(pictures) | Inputs::PicturesAndTimestep { pictures, .. } => {
                for (name, channels) in pictures.iter().zip(both) {
                    terms.put_channels(name, channels.into());
                }
            }
            Inputs::Stacked { name, channels } => {
                let mut all = both.concat();
                while all.len() < *channels {
                    all.push((Source::More, terms.new_term(false)));
                }
                terms.put_channels(name, all);
            }
        }
        graph.node.iter().for_each(|node| terms.read(node));
        terms
    }

    /// The twins that the rest of the graph needs, in the graph's order; `None` if there are none that are
    /// worth while, or too many.
    pub(crate) fn features(&self) -> Option<Vec<Names<'a>>> {
        let features = self.frontier(&self.find_shared())?;
        (1..=MOST_FEATURES)
            .contains(&features.len())
            .then_some(features)
    }

    /// A term that is like no other.
    fn new_term(&mut self, works: bool) -> Term {
        self.works.push(works);
        self.works.len() - 1
    }

    fn term(&mut self, formula: Formula<'a>, works: bool) -> Term {
        if let Some(term) = self.known.get(&formula) {
            return *term;
        }
        let term = self.new_term(works);
        self.known.insert(formula, term);
        term
    }

    fn put(&mut self, name: &'a str, source: Source, term: Term) {
        let channels = None;
        self.values.insert(
            name,
            Value {
                source,
                term,
                channels,
            },
        );
    }

    fn put_channels(&mut self, name: &'a str, channels: Vec<(Source, Term)>) {
        let sources = channels.iter().map(|(source, _)| *source);
        let terms: Vec<Term> = channels.iter().map(|(_, term)| *term).collect();
        let works = terms.iter().any(|term| self.works[*term]);
        let value = Value {
            source: sources.fold(Source::Nothing, Source::and),
            term: self.term(Formula::Joined(terms), works),
            channels: Some(channels),
        };
        self.values.insert(name, value);
    }

    fn source(&self, name: &str) -> Source {
        match self.values.get(name) {
            Some(value) => value.source,
            None if name.is_empty() || self.stored.contains_key(name) => Source::Nothing,
            None => Source::More,
        }
    }

    /// The term of a value that is known; what is stored is looked into with its first use.
    fn term_of(&mut self, name: &str) -> Term {
        if let Some(value) = self.values.get(name) {
            return value.term;
        }
        match self.stored.get(name) {
            Some(tensor) => self.term(contents(tensor), false),
            None if name.is_empty() => self.term(Formula::Absent, false),
            None => self.new_term(false),
        }
    }

    /// Takes the values that a node gives.
    fn read(&mut self, node: &'a NodeProto) {
        if let Some(outputs) = self.by_channels(node) {
            for (name, channels) in node.output.iter().zip(outputs) {
                self.put_channels(name, channels);
            }
            return;
        }
        if is_onnx(node.domain.as_deref())
            && let ("Constant", [name], [attribute]) =
                (node.op_type(), node.output.as_slice(), &*node.attribute)
            && let Some(tensor) = &attribute.t
        {
            self.stored.insert(name, tensor);
            return;
        }
        let nested = |a: &AttributeProto| a.g.is_some() || !a.graphs.is_empty();
        let sources = node.input.iter().map(|name| self.source(name));
        let source = match node.op_type() {
            _ if node.attribute.iter().any(nested) => Source::More,
            "Shape" | "Size" => self.source_of_shape(node),
            _ => sources.fold(Source::Nothing, Source::and),
        };
        if source == Source::More {
            let works = is_work(node) || node.input.iter().any(|name| self.works_in(name));
            for name in &node.output {
                let term = self.new_term(works);
                self.put(name, source, term);
            }
            return;
        }
        let inputs: Vec<Term> = node.input.iter().map(|name| self.term_of(name)).collect();
        for (output, name) in node.output.iter().enumerate() {
            let term = self.apply(node, inputs.clone(), output);
            self.put(name, source, term);
        }
    }

    /// A shape is made of no numbers; but not where it takes work on more than a picture to know it.
    fn source_of_shape(&self, node: &NodeProto) -> Source {
        let far = |name: &String| self.source(name) == Source::More && self.works_in(name);
        match node.input.iter().any(far) {
            true => Source::More,
            false => Source::Nothing,
        }
    }

    /// Returns whether there is work in a value.
    fn works_in(&self, name: &str) -> bool {
        let value = self.values.get(name);
        value.is_some_and(|value| self.works[value.term])
    }

    /// The term of a node's output.
    fn apply(&mut self, node: &'a NodeProto, inputs: Vec<Term>, output: usize) -> Term {
        let shape = matches!(node.op_type(), "Shape" | "Size");
        let works = is_work(node) || inputs.iter().any(|term| self.works[*term]);
        let works = works && !shape;
        let attributes = node.attribute.iter().flat_map(|attribute| {
            let plain = AttributeProto {
                doc_string: None,
                ..attribute.clone()
            };
            plain.encode_length_delimited_to_vec()
        });
        let formula = Formula::Of {
            domain: node
                .domain
                .as_deref()
                .filter(|domain| !is_onnx(Some(domain))),
            operator: node.op_type(),
            attributes: attributes.collect(),
            inputs,
            output,
        };
        self.term(formula, works)
    }

    /// The channels of what a node gives, where it keeps each apart.
    fn by_channels(&mut self, node: &'a NodeProto) -> Option<Vec<Vec<(Source, Term)>>> {
        if !is_onnx(node.domain.as_deref()) {
            return None;
        }
        let of = |index: usize| {
            let name = node.input.get(index)?;
            self.values.get(name.as_str())?.channels.as_deref()
        };
        let axis = integer(node, "axis");
        match node.op_type() {
            "Concat" if axis == Some(CHANNELS) => {
                let all = (0..node.input.len()).map(of).collect::<Option<Vec<_>>>()?;
                let few = all.iter().map(|channels| channels.len()).sum::<usize>() <= MOST_CHANNELS;
                few.then(|| vec![all.concat()])
            }
            "Slice" => match self.numbers(node, 3)?.as_slice() {
                [axis] if *axis == CHANNELS as f64 => {
                    let channels = of(0)?;
                    let whole = |index, without: f64| match node.input.get(index) {
                        None => Some(without),
                        Some(_) => self.numbers(node, index)?.first().copied(),
                    };
                    let place = |number: f64| match number {
                        below if below < 0.0 => channels.len().saturating_sub(-below as usize),
                        number => channels.len().min(number as usize),
                    };
                    let (start, end) = (place(whole(1, 0.0)?), place(whole(2, 0.0)?));
                    let every = whole(4, 1.0)? == 1.0;
                    let taken = channels.get(start..end).filter(|_| every)?;
                    Some(vec![taken.to_vec()])
                }
                axes if axes.iter().all(|axis| *axis >= 2.0) => self.each_channel(node, 0),
                _ => None,
            },
            "Split" if axis == Some(CHANNELS) => {
                let channels = of(0)?;
                let mut sizes = match self.numbers(node, 1) {
                    Some(sizes) => sizes,
                    None if node.input.len() == 1 => {
                        let each = channels.len().checked_div(node.output.len())?;
                        vec![each as f64; node.output.len()]
                    }
                    None => return None,
                }
                .into_iter();
                let mut left = channels;
                let mut take = || {
                    let (taken, others) = left.split_at_checked(sizes.next()? as usize)?;
                    left = others;
                    Some(taken.to_vec())
                };
                node.output.iter().map(|_| take()).collect()
            }
            "Gather" if axis == Some(CHANNELS) => {
                let tensor = self.stored.get(node.input.get(1)?.as_str())?;
                let (channels, places) = (of(0)?, tensor.numbers()?);
                let at =
                    |place: f64| (place >= 0.0).then(|| channels.get(place as usize).copied())?;
                let taken = places.into_iter().map(at).collect::<Option<Vec<_>>>();
                Some(vec![taken.filter(|_| tensor.dims.len() == 1)?])
            }
            "Identity" | "Cast" | "Clip" | "Pad" => self.each_channel(node, 0),
            "Add" | "Sub" | "Mul" | "Div" => {
                let number = |index: usize| {
                    let tensor = self.stored.get(node.input.get(index)?.as_str());
                    tensor?.number()
                };
                match (number(0), number(1)) {
                    (None, Some(_)) => self.each_channel(node, 0),
                    (Some(_), None) => self.each_channel(node, 1),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns what a node makes of each channel of one of its inputs; its others are the same for
    /// all.
    fn each_channel(
        &mut self,
        node: &'a NodeProto,
        index: usize,
    ) -> Option<Vec<Vec<(Source, Term)>>> {
        let name = node.input.get(index)?;
        let channels = self.values.get(name.as_str())?.channels.clone()?;
        let others = node.input.iter().enumerate().filter(|(at, _)| *at != index);
        let alike = |(_, name): (usize, &String)| self.source(name) == Source::Nothing;
        if node.output.len() != 1 || !others.clone().all(alike) {
            return None;
        }
        let mut inputs: Vec<Term> = node.input.iter().map(|name| self.term_of(name)).collect();
        let made = channels.into_iter().map(|(source, term)| {
            inputs[index] = term;
            (source, self.apply(node, inputs.clone(), 0))
        });
        Some(vec![made.collect()])
    }

    /// The numbers that are stored for an input of a node.
    fn numbers(&self, node: &NodeProto, index: usize) -> Option<Vec<f64>> {
        let name = node.input.get(index)?;
        self.stored.get(name.as_str())?.numbers()
    }

    /// The twins with work in them, by their term.
    fn find_shared(&self) -> HashMap<Term, Names<'a>> {
        let mut shared: HashMap<Term, Names> = HashMap::new();
        for name in self.graph.node.iter().flat_map(|node| &node.output) {
            let Some(value) = self.values.get(name.as_str()) else {
                continue;
            };
            let side = match value.source {
                Source::First => 0,
                Source::Second => 1,
                Source::Nothing | Source::More => continue,
            };
            if self.works[value.term] && !name.is_empty() {
                shared.entry(value.term).or_default()[side].push(name);
            }
        }
        shared.retain(|_, names| names.iter().all(|side| !side.is_empty()));
        shared
    }

    /// Returns the twins that the rest of the graph needs; `None` if the graph gives one of them
    /// itself.
    fn frontier(&self, shared: &HashMap<Term, Names<'a>>) -> Option<Vec<Names<'a>>> {
        let nodes = self.graph.node.iter();
        let makers: HashMap<&str, &NodeProto> = nodes
            .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
            .collect();
        let outputs = self.graph.output.iter().filter_map(|o| o.name.clone());
        let mut open: Vec<String> = outputs.collect();
        let outputs: HashSet<String> = open.iter().cloned().collect();
        let mut needed = HashSet::new();
        let mut seen = HashSet::new();
        while let Some(name) = open.pop() {
            let Some(&node) = makers.get(name.as_str()) else {
                continue;
            };
            let term = self.values.get(name.as_str()).map(|value| value.term);
            let term = term.filter(|term| shared.contains_key(term) && !is_move(node));
            match term {
                Some(_) if outputs.contains(&name) => return None,
                Some(term) => drop(needed.insert(term)),
                None if !seen.contains(&name) => names_read(node, &mut open),
                None => {}
            }
            seen.insert(name);
        }
        let mut features = Vec::new();
        for name in self.graph.node.iter().flat_map(|node| &node.output) {
            let term = self.values.get(name.as_str()).map(|value| value.term);
            if let Some(term) = term.filter(|term| needed.remove(term)) {
                features.extend(shared.get(&term).cloned());
            }
        }
        Some(features)
    }
}

/// Returns what is in a stored tensor, whatever it is called.
fn contents(tensor: &TensorProto) -> Formula<'_> {
    let bytes = match &tensor.raw_data {
        Some(raw) => Cow::Borrowed(&raw[..]),
        None => Cow::Owned(
            TensorProto {
                name: None,
                doc_string: None,
                ..tensor.clone()
            }
            .encode_to_vec(),
        ),
    };
    Formula::Stored(&tensor.dims, tensor.data_type(), bytes)
}
