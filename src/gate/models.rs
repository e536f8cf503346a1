//! `GET /v1/models`: what the routes serve, asleep or not, so that nobody has to be woken to be listed.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::gate::error::Refusal;
use crate::gate::table::Table;

/// The answer to a GET of `path`, if it is about models and the routes know any by name.
pub(super) fn answer(table: &Table, path: &str, created: i64) -> Option<Response> {
    let rest = path.strip_prefix("/v1/models")?;
    let mut names = table.names().peekable();
    names.peek()?;
    if rest.is_empty() || rest == "/" {
        let data: Vec<Value> = names.map(|name| model(name, created)).collect();
        return Some(Json(json!({ "object": "list", "data": data })).into_response());
    }
    let asked = rest.strip_prefix('/')?;
    Some(match names.find(|name| *name == asked) {
        Some(name) => Json(model(name, created)).into_response(),
        None => match table.find(Some(asked)) {
            Ok(_) => Json(model(asked, created)).into_response(),
            Err(refusal) => Refusal::into_response(refusal),
        },
    })
}

fn model(name: &str, created: i64) -> Value {
    json!({ "id": name, "object": "model", "created": created, "owned_by": "prescale" })
}
