//! The manifests of several layers read as the one tree that they make when stacked, in the order of a walk.

use taru_stdx::Result;

use crate::inherit::resolved;
use crate::manifest::{Kind, Lines, Record, Search, order};
use crate::name::split;

/// Manifests under way.
pub(crate) struct Stacked {
    layers: Vec<Layer>,
    /// The directories on the way, and how many layers show through in them.
    above: Vec<(Vec<u8>, usize)>,
}

struct Layer {
    lines: Lines,
    search: Search,
    next: Option<Record>,
}

impl Stacked {
    /// Of these manifests, topmost first, each opened twice.
    pub(crate) fn new(manifests: Vec<(Lines, Search)>) -> Result<Stacked> {
        let mut layers = Vec::new();
        for (mut lines, search) in manifests {
            let next = lines.next()?;
            layers.push(Layer { lines, search, next });
        }
        Ok(Stacked { layers, above: Vec::new() })
    }

    /// The next record that shows. A further name of a file has that file's content.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let paths = self.layers.iter().filter_map(|layer| layer.next.as_ref()).map(|record| &record.path);
            let Some(path) = paths.min_by(|a, b| order(a, b)).cloned() else { return Ok(None) };
            let (dir, _) = split(&path);
            if !path.is_empty() {
                while self.above.last().is_some_and(|(above, _)| above != dir) {
                    self.above.pop();
                }
            }
            let limit = self.above.last().map_or(self.layers.len(), |(_, count)| *count);
            let mut top: Option<(usize, Record)> = None;
            let mut visible = limit;
            for (at, layer) in self.layers.iter_mut().enumerate() {
                let Some(record) = layer.next.take_if(|record| record.path == path) else { continue };
                layer.next = layer.lines.next()?;
                if at >= visible {
                    continue;
                }
                match record.kind {
                    Kind::Directory { is_opaque: true } => visible = at + 1,
                    Kind::Directory { .. } | Kind::Implicit => {}
                    _ => visible = at,
                }
                if top.is_none() {
                    top = Some((at, record));
                }
            }
            let Some((at, mut record)) = top else {
                // What is hidden hides all that is in it.
                self.above.push((path, 0));
                continue;
            };
            if record.kind.is_directory() {
                // What it hides is not in the stack.
                record.kind = Kind::Directory { is_opaque: false };
                self.above.push((path, visible));
            } else {
                self.above.push((path, 0));
            }
            if record.kind == Kind::Whiteout {
                continue;
            }
            let Some(layer) = self.layers.get(at) else { continue };
            return resolved(&layer.search, record).map(Some);
        }
    }
}
