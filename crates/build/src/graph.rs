//! From a Dockerfile and the options of a build to the graph of its stages. Pure.
//!
//! ```text
//! ARG BASE=debian          globals: before any FROM, for FROM alone
//! FROM $BASE AS a          base: an image, a stage, a named context or scratch
//! COPY --from=b ...        an edge a -> b; --mount=from=b as well
//! ```
//! What the target does not reach is not built, nor are its images resolved. Triggers (ONBUILD) of images are known
//! only when those are resolved, and may add edges: [`Graph::add`] takes them.

use std::collections::{BTreeMap, BTreeSet};

use taru_oci::Platform;
use taru_stdx::{Error, Result};

use crate::dockerfile::{Dockerfile, Instruction, Placed, Stage, at, nearest};
use crate::expand::Expander;

/// Where files or a base come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Nothing at all.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, by its name.
    Image(String),
    /// A context of `--build-context`, by its name.
    Context(String),
}

/// What of the options shapes the graph.
#[derive(Debug, Clone)]
pub(crate) struct Wishes<'a> {
    /// `--target`: a stage by name or number.
    pub target: Option<&'a str>,
    /// `--build-arg`.
    pub args: &'a BTreeMap<String, String>,
    /// `--platform`.
    pub platform: &'a Platform,
    /// This host's.
    pub host: &'a Platform,
    /// The names of `--build-context`.
    pub contexts: &'a BTreeSet<String>,
}

/// A stage in the graph.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it starts from.
    pub base: Source,
    /// What it is for.
    pub platform: Platform,
    /// All that it reads: its base, and what its instructions name.
    pub needs: BTreeSet<Source>,
}

/// The graph.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    /// Variables of FROM, and of an ARG without a value in a stage.
    pub globals: BTreeMap<String, String>,
    /// One of each stage, in their order.
    pub nodes: Vec<Node>,
    /// The stage that is wanted.
    pub target: usize,
    /// What nobody asked for but should know.
    pub warnings: Vec<String>,
    names: BTreeMap<String, usize>,
    contexts: BTreeSet<String>,
}

/// Build arguments that need no ARG and are in no history: the ways to the network.
pub(crate) const PROXIES: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The variable that makes every time in the image this one.
pub(crate) use taru_stdx::time::SOURCE_DATE_EPOCH as EPOCH;

impl Graph {
    /// Makes the graph.
    ///
    /// # Errors
    /// Everything that is wrong, as one error: names that cannot be expanded, stages that do not exist.
    pub(crate) fn new(file: &Dockerfile, wishes: &Wishes<'_>) -> Result<Graph> {
        let mut errors = Vec::new();
        let mut graph = Graph {
            globals: BTreeMap::new(),
            nodes: Vec::new(),
            target: 0,
            warnings: Vec::new(),
            names: BTreeMap::new(),
            contexts: wishes.contexts.clone(),
        };
        graph.globals = globals(file, wishes, &mut errors);
        for (index, stage) in file.stages.iter().enumerate() {
            match graph.node(file, stage, wishes) {
                Ok(node) => graph.nodes.push(node),
                Err(e) => {
                    errors.push(at(&file.name, stage.line, e));
                    let node = Node {
                        base: Source::Scratch,
                        platform: wishes.platform.clone(),
                        needs: BTreeSet::new(),
                    };
                    graph.nodes.push(node);
                }
            }
            for placed in &stage.instructions {
                if let Err(e) = graph.add(index, placed) {
                    errors.push(at(&file.name, placed.line, e));
                }
            }
            if let Some(name) = &stage.from.name
                && graph.names.insert(name.clone(), index).is_some()
            {
                let e = Error::invalid(format!("name a stage `{name}`: another one has that name"));
                errors.push(at(&file.name, stage.line, e));
            }
        }
        match graph.find_target(wishes.target) {
            Ok(target) => graph.target = target,
            Err(e) => errors.push(e),
        }
        graph.warn(file, wishes);
        Error::all(errors).map_or(Ok(graph), Err)
    }

    fn node(&self, file: &Dockerfile, stage: &Stage, wishes: &Wishes<'_>) -> Result<Node> {
        let expander = Expander::new(file.escape);
        let lookup = |name: &str| self.globals.get(name).cloned();
        let platform = match &stage.from.platform {
            None => wishes.platform.clone(),
            Some(text) => {
                let text = expander.word(text, &lookup)?;
                if text.is_empty() {
                    return Err(Error::invalid("FROM: --platform is empty")
                        .hint("only an ARG before the first FROM is known there"));
                }
                text.parse()?
            }
        };
        let image = expander.word(&stage.from.image, &lookup)?;
        if image.is_empty() {
            let e = Error::invalid(format!("FROM: `{}` is empty", stage.from.image));
            return Err(e.hint("only an ARG before the first FROM is known there, and it needs a value"));
        }
        let base = match stage.from.name.as_ref().filter(|name| self.contexts.contains(*name)) {
            // A named context takes the place of the stage itself.
            Some(name) => Source::Context(name.clone()),
            None if image == "scratch" => Source::Scratch,
            None => self.named(&image),
        };
        Ok(Node { needs: BTreeSet::from([base.clone()]), base, platform })
    }

    /// What a name means: a named context, a stage above, or else an image.
    fn named(&self, name: &str) -> Source {
        if self.contexts.contains(name) {
            return Source::Context(name.to_owned());
        }
        match self.names.get(&name.to_lowercase()) {
            Some(stage) => Source::Stage(*stage),
            None => Source::Image(name.to_owned()),
        }
    }

    /// What `--from` means, in a stage.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] for the number of a stage that does not stand above.
    pub(crate) fn from(&self, stage: usize, name: &str) -> Result<Source> {
        if name == "scratch" {
            return Ok(Source::Scratch);
        }
        match name.parse::<usize>() {
            Ok(index) if index < stage => Ok(Source::Stage(index)),
            Ok(index) => Err(Error::invalid(format!(
                "read from the stage {index}: no stage of that number stands above"
            ))),
            Err(_) => match self.named(name) {
                Source::Stage(other) if other >= stage => {
                    Err(Error::invalid(format!("read from the stage `{name}`: it does not stand above")))
                }
                source => Ok(source),
            },
        }
    }

    /// Adds the edges of one instruction of a stage.
    ///
    /// # Errors
    /// As [`Graph::from`].
    pub(crate) fn add(&mut self, stage: usize, placed: &Placed) -> Result<()> {
        for name in placed.instruction.sources().into_iter().filter(|name| !name.contains('$')) {
            let source = self.from(stage, name)?;
            self.nodes[stage].needs.insert(source);
        }
        Ok(())
    }

    fn find_target(&self, target: Option<&str>) -> Result<usize> {
        let Some(target) = target else { return Ok(self.nodes.len().saturating_sub(1)) };
        if let Some(index) = self.names.get(&target.to_lowercase()) {
            return Ok(*index);
        }
        match target.parse::<usize>() {
            Ok(index) if index < self.nodes.len() => Ok(index),
            _ => {
                let e = Error::new(
                    taru_stdx::Kind::NotFound,
                    format!("build the stage `{target}`: there is none of that name"),
                );
                Err(match nearest(target, self.names.keys().map(String::as_str)) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e,
                })
            }
        }
    }

    fn warn(&mut self, file: &Dockerfile, wishes: &Wishes<'_>) {
        let mut known: BTreeSet<&str> = file.args.iter().map(|(_, name, _)| name.as_str()).collect();
        let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
        for placed in instructions {
            if let Instruction::Arg(args) = &placed.instruction {
                known.extend(args.iter().map(|(name, _)| name.as_str()));
            }
        }
        for name in wishes.args.keys() {
            if !known.contains(name.as_str()) && !PROXIES.contains(&name.as_str()) && name != EPOCH {
                self.warnings.push(format!("the build argument `{name}` is not used: no ARG names it"));
            }
        }
    }

    /// The stages that `target` reaches, it included, each behind those that it needs.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        self.visit(self.target, &mut order);
        order
    }

    // Edges lead to earlier stages only: there is no cycle, and the depth is the number of stages.
    fn visit(&self, stage: usize, order: &mut Vec<usize>) {
        let mut stack = vec![(stage, false)];
        while let Some((stage, is_ready)) = stack.pop() {
            if order.contains(&stage) {
                continue;
            }
            if is_ready {
                order.push(stage);
                continue;
            }
            stack.push((stage, true));
            let needs = self.nodes[stage].needs.iter();
            stack.extend(needs.filter_map(|s| match s {
                Source::Stage(other) => Some((*other, false)),
                _ => None,
            }));
        }
    }
}

/// The variables that exist without any ARG having a value: the platforms, in Go's words.
fn platforms(wishes: &Wishes<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, p) in [("BUILD", wishes.host), ("TARGET", wishes.platform)] {
        all.insert(format!("{prefix}PLATFORM"), p.to_string());
        all.insert(format!("{prefix}OS"), p.os.clone());
        all.insert(format!("{prefix}ARCH"), p.architecture.clone());
        all.insert(format!("{prefix}VARIANT"), p.variant.clone().unwrap_or_default());
    }
    all.insert("TARGETSTAGE".to_owned(), wishes.target.unwrap_or("default").to_owned());
    all
}

/// The platforms, and the ARGs before the first FROM.
fn globals(file: &Dockerfile, wishes: &Wishes<'_>, errors: &mut Vec<Error>) -> BTreeMap<String, String> {
    let mut globals = platforms(wishes);
    for (name, value) in wishes.args {
        if globals.contains_key(name) {
            globals.insert(name.clone(), value.clone());
        }
    }
    let expander = Expander::new(file.escape);
    for (line, name, default) in &file.args {
        let value = match (wishes.args.get(name), default) {
            (Some(given), _) => Ok(Some(given.clone())),
            (None, Some(text)) => expander.word(text, &|name| globals.get(name).cloned()).map(Some),
            (None, None) => Ok(None),
        };
        match value {
            Ok(Some(value)) => drop(globals.insert(name.clone(), value)),
            Ok(None) => {}
            Err(e) => errors.push(at(&file.name, *line, e)),
        }
    }
    globals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str, target: Option<&str>, args: &[(&str, &str)], contexts: &[&str]) -> Result<Graph> {
        let file = Dockerfile::parse("D", text.as_bytes())?;
        let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let contexts = contexts.iter().map(|c| (*c).to_owned()).collect();
        let (platform, host) = ("linux/arm64".parse()?, "linux/amd64".parse()?);
        let wishes = Wishes { target, args: &args, platform: &platform, host: &host, contexts: &contexts };
        Graph::new(&file, &wishes)
    }

    #[test]
    fn unused_stages_are_left_out() {
        let text = "FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=0 x y\n\
                    FROM scratch\nRUN --mount=from=three,target=/x true\nCOPY --from=img x y\n";
        let all = graph(text, None, &[], &[]).unwrap();
        assert_eq!(all.order(), [0, 2, 3]);
        assert_eq!(
            all.nodes[3].needs,
            BTreeSet::from([Source::Scratch, Source::Stage(2), Source::Image("img".into())])
        );
        assert_eq!(graph(text, Some("TWO"), &[], &[]).unwrap().order(), [1]);
        assert_eq!(graph(text, Some("2"), &[], &[]).unwrap().order(), [0, 2]);
        let e = graph(text, Some("thre"), &[], &[]).unwrap_err();
        assert_eq!(e.hints(), ["did you mean `three`?"]);
    }

    #[test]
    fn names_of_bases_are_expanded_from_globals_alone() {
        let text = "ARG V=1\nARG I=img:$V\nFROM --platform=$BUILDPLATFORM ${I} AS a\nFROM ${J:-x}\n";
        let g = graph(text, None, &[], &[]).unwrap();
        assert_eq!(g.nodes[0].base, Source::Image("img:1".into()));
        assert_eq!(
            (g.nodes[0].platform.to_string(), g.nodes[1].platform.to_string()),
            ("linux/amd64".into(), "linux/arm64".into())
        );
        assert_eq!(g.nodes[1].base, Source::Image("x".into()));
        let g = graph(text, None, &[("V", "2"), ("Z", "1"), ("http_proxy", "p")], &[]).unwrap();
        assert_eq!(g.nodes[0].base, Source::Image("img:2".into()));
        assert_eq!(g.warnings.len(), 1);
        let g = graph("FROM a AS b\nFROM b\nCOPY --from=c x y", None, &[], &["b", "c"]).unwrap();
        assert_eq!(
            (g.nodes[0].base.clone(), g.nodes[1].base.clone()),
            (Source::Context("b".into()), Source::Context("b".into()))
        );
    }

    #[test]
    fn what_cannot_be_is_told_at_once() {
        let e = graph("FROM $NO\nCOPY --from=5 a b\nFROM x AS y\nFROM z AS y\n", None, &[], &[]).unwrap_err();
        let text = e.chain().to_string();
        for part in ["D:1: FROM: `$NO` is empty", "D:2: read from the stage 5", "D:4: name a stage `y`"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
