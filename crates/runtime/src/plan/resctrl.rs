//! Cache and memory bandwidth allocation decided: which class, described how.

use super::problems::Problems;
use crate::spec::IntelRdt;

/// The container's groups in the resctrl file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResctrlPlan {
    /// The class of service, a directory's name; empty for the default class.
    pub class: String,
    /// Whether the document names the class: it may be others' too.
    pub is_named: bool,
    /// Lines of `schemata`.
    pub schemata: Vec<String>,
    /// Whether the container is counted by itself.
    pub monitor: bool,
}

impl ResctrlPlan {
    /// Decides on `rdt` for the container `id`.
    pub(crate) fn new(rdt: &IntelRdt, id: &str, problems: &mut Problems) -> ResctrlPlan {
        let is_named = !rdt.clos_id.is_empty();
        let class = match rdt.clos_id.as_str() {
            "" => id,
            "/" => "",
            name => name,
        };
        // Names that stand for something else in that file system, or lead out of it.
        let taken = matches!(class, "." | ".." | "info" | "mon_groups" | "mon_data");
        if taken || class.contains(['/', '\n', '\0']) {
            problems.invalid(format!("check linux.intelRdt.closID `{class}`: not the name of a class"));
        }
        // The specification's rule: a line for bandwidth among those for the cache gives way to memBwSchema.
        let cache = rdt.l3_cache_schema.lines().filter(|line| !line.trim_start().starts_with("MB:"));
        let bandwidth = rdt.mem_bw_schema.lines();
        let lines = cache.chain(bandwidth).chain(rdt.schemata.iter().flat_map(|text| text.lines()));
        let schemata = lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        ResctrlPlan { class: class.to_owned(), is_named, schemata, monitor: rdt.enable_monitoring }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<ResctrlPlan, String> {
        let mut problems = Problems::default();
        let plan = ResctrlPlan::new(&serde_json::from_str(json).unwrap(), "web", &mut problems);
        problems.finish().map(|_| plan).map_err(|e| e.to_string())
    }

    #[test]
    fn classes_and_lines() {
        let own =
            plan(r#"{"l3CacheSchema":"L3:0=f\nMB:0=10","memBwSchema":"MB:0=50","schemata":["L2:0=3"]}"#);
        let own = own.unwrap();
        assert_eq!((own.class.as_str(), own.is_named, own.monitor), ("web", false, false));
        assert_eq!(own.schemata, ["L3:0=f", "MB:0=50", "L2:0=3"]);
        let named = plan(r#"{"closID":"gold","enableMonitoring":true}"#).unwrap();
        assert_eq!((named.class.as_str(), named.is_named, named.monitor), ("gold", true, true));
        assert!(named.schemata.is_empty());
        let default = plan(r#"{"closID":"/"}"#).unwrap();
        assert_eq!((default.class.as_str(), default.is_named), ("", true));
        for bad in ["..", "a/b", "info"] {
            let e = plan(&format!(r#"{{"closID":"{bad}"}}"#)).unwrap_err();
            assert!(e.contains("not the name of a class"), "{e}");
        }
    }
}
