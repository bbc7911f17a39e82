//! `taru inspect`: all there is to know of containers.

use std::process::ExitCode;

use serde_json::{Value, json};
use taru_stdx::{Result, time};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::reconcile::{self, Status};
use taru_engine::record::Record;
use taru_engine::{Engine, health_report};

/// Show all there is to know of containers, as JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru inspect web
  taru inspect web | jq -r '.[0].state.pid'
  taru inspect web | jq '.[0].state.health'        what its health checks said")]
pub struct Args {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let mut found = Vec::new();
    for key in &args.containers {
        let (record, status) = reconcile::one(&mut engine, key)?;
        found.push(document(&engine, &record, &status));
    }
    output::json(&found)?;
    Ok(ExitCode::SUCCESS)
}

fn document(engine: &Engine, record: &Record, status: &Status) -> Value {
    let mut state = json!({ "status": status.word() });
    match status {
        Status::Starting => {}
        Status::Running { supervisor, init, started } => {
            state["pid"] = json!(init.map(|p| p.pid));
            state["supervisor"] = json!(supervisor.pid);
            state["started"] = json!(time::rfc3339(*started));
            state["bundle"] = json!(engine.dirs.bundle(&record.id));
        }
        Status::Ended(ended) => {
            state["exit_status"] = json!(ended.status);
            state["finished"] = json!(ended.finished.map(time::rfc3339));
            state["reason"] = json!(Some(&ended.reason).filter(|reason| !reason.is_empty()));
        }
    }
    match health_report::read(engine, record, status) {
        Ok(Some(report)) => state["health"] = json!(health_report::Document::from(&report)),
        Ok(None) => {}
        Err(error) => state["health"] = json!({ "damaged": error.chain().to_string() }),
    }
    json!({
        "id": record.id,
        "name": record.name,
        "created": time::rfc3339(record.created),
        "state": state,
        "ids": record.uid_base.map(|first| json!({ "first": first, "count": taru_engine::idmap::SIZE })),
        "directory": engine.dirs.container(&record.id),
        "config": match &record.config {
            Ok(config) => json!(config),
            Err(damage) => json!({ "damaged": damage }),
        },
    })
}
