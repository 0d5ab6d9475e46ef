//! `cerebro:recipe/packages`, `services` and `users`: interfaces that are settled, and that this
//! Cerebro cannot serve yet. They are there, so that components link that may use them elsewhere;
//! each call says so and changes nothing.

use super::State;
use super::effect::Effect;
use crate::bindings::interfaces::types::Error;
use crate::bindings::interfaces::{packages, services, users};
use wasmtime::component::Resource;

/// What every call answers.
pub(super) fn unsupported(what: &str) -> Error {
    Error::Unsupported(format!(
        "this Cerebro cannot look after {what} yet: do it by `command`, or beforehand"
    ))
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn no<T>(what: &str) -> Answer<T> {
    Ok(Err(unsupported(what)))
}

impl packages::Host for State {
    async fn installed(&mut self, _: String) -> Answer<Option<String>> {
        no("packages")
    }

    async fn ensure(&mut self, _: Vec<packages::Spec>) -> Answer<Resource<Effect>> {
        no("packages")
    }

    async fn refresh(&mut self, _: u32) -> Answer<Resource<Effect>> {
        no("packages")
    }
}

impl services::Host for State {
    async fn get(&mut self, _: String) -> Answer<Option<services::Status>> {
        no("services")
    }

    async fn ensure(&mut self, _: services::Spec) -> Answer<Resource<Effect>> {
        no("services")
    }

    async fn restart(&mut self, _: String) -> Answer<Resource<Effect>> {
        no("services")
    }

    async fn reload(&mut self, _: String) -> Answer<Resource<Effect>> {
        no("services")
    }

    async fn reload_definitions(&mut self) -> Answer<Resource<Effect>> {
        no("services")
    }
}

impl users::Host for State {
    async fn get(&mut self, _: String) -> Answer<Option<users::User>> {
        no("users")
    }

    async fn get_group(&mut self, _: String) -> Answer<Option<u32>> {
        no("users")
    }

    async fn ensure(&mut self, _: users::Spec) -> Answer<Resource<Effect>> {
        no("users")
    }

    async fn ensure_group(
        &mut self,
        _: String,
        _: Option<u32>,
        _: bool,
    ) -> Answer<Resource<Effect>> {
        no("users")
    }

    async fn remove(&mut self, _: String) -> Answer<Resource<Effect>> {
        no("users")
    }

    async fn remove_group(&mut self, _: String) -> Answer<Resource<Effect>> {
        no("users")
    }
}
