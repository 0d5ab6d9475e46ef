//! Uploaded components.

use super::extract::Path;
use super::{Answer, Refusal, Shared, blobs};
use crate::cluster::{event, jobs_missing};
use crate::records::Change;
use axum::Json;
use axum::body::Body;
use cerebro_api::body::PushedRecipe;
use cerebro_api::{MAX_UPLOAD, Problem, paths};
use cerebro_model::{EventKind, Recipe, RecipeName, Subject};

/// Every uploaded component.
#[utoipa::path(get, path = paths::RECIPES, responses((status = 200, body = Vec<Recipe>)))]
pub async fn list(cluster: Shared) -> Json<Vec<Recipe>> {
    Json(cluster.state().records.recipes.values().cloned().collect())
}

/// One component.
#[utoipa::path(get, path = "/v1/recipes/{name}", params(("name" = String, Path)),
    responses((status = 200, body = Recipe), (status = 404, body = Problem)))]
pub async fn inspect(cluster: Shared, Path(name): Path<RecipeName>) -> Answer<Json<Recipe>> {
    let found = cluster.state().records.recipes.get(&name).cloned();
    found
        .map(Json)
        .ok_or_else(|| Refusal::not_found(format!("no component was uploaded as `{name}`")))
}

/// Uploads a component under a name; what had the name before is kept by its digest.
#[utoipa::path(put, path = "/v1/recipes/{name}", params(("name" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, body = PushedRecipe), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub async fn upload(
    cluster: Shared,
    Path(name): Path<RecipeName>,
    body: Body,
) -> Answer<Json<PushedRecipe>> {
    let (digest, size) = blobs::keep(&cluster.blobs, body, MAX_UPLOAD).await?;
    let path = cluster.blobs.path(&digest);
    let read = || {
        Refusal::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "the upload cannot be read back")
    };
    let bytes = tokio::fs::read(path).await.map_err(|_| read())?;
    // Parsing is work, and must not hold up the heartbeats.
    let inspected =
        tokio::task::spawn_blocking(move || cerebro_recipe_inspect::inspect(&bytes)).await;
    let inspection = inspected
        .map_err(|_| {
            Refusal::invalid(format!("`{name}` was refused: it could not be read to its end"))
        })?
        .map_err(|error| Refusal::invalid(format!("`{name}` was refused: {error}")))?;
    let recipe = Recipe {
        name,
        digest,
        kind: inspection.kind,
        size,
        imports: inspection.imports,
        language: inspection.language.to_string(),
        wants: inspection.wants.as_deref().cloned(),
        uploaded_at: cluster.now(),
    };
    let message = format!("{} {} was uploaded: {}", recipe.kind, recipe.name, digest.short());
    let subject = Subject { recipe: Some(recipe.name.clone()), ..Subject::default() };
    let told = event(EventKind::RecipeUploaded, subject, message);
    let missing = cluster.change(|state| {
        let missing = jobs_missing(&state.records, &recipe);
        Ok::<_, Refusal>((Change::default().recipe(recipe.clone()).event(told), missing))
    })?;
    Ok(Json(PushedRecipe { recipe, missing }))
}
