//! A look at another machine's agent, for the controller.

use crate::controller::Controller;
use crate::machine::Machine;
use cerebro_api::look::{LOOK, LookAnswer};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};

/// What the agent of `machine` says of the one of `id` at `at`.
fn look(machine: &Machine, id: &str, at: SocketAddr) -> LookAnswer {
    let request = json!({ "machine": id, "address": at.ip(), "port": at.port() });
    let answer = machine.post(LOOK, &request.to_string());
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer}: {error}"))
}

#[test]
fn an_agent_says_whether_another_answers_it_to_its_controller_and_to_nobody_else() {
    let controller = Controller::start();
    let machine = Machine::start(&controller);
    machine.wait_for("it answers", || machine.get("/healthz").is_some());
    // It may as well look at itself. Just begun on a busy machine it may take longer to answer than a
    // look waits.
    machine.wait_for("it sees itself", || {
        let there = look(&machine, "m-1", machine.address());
        assert_eq!(there.answered, there.said == "it answers", "{there:?}");
        there.answered
    });
    machine.wait_for("it sees that another answers", || {
        let another = look(&machine, "m-2", machine.address());
        assert!(!another.answered, "{another:?}");
        another.said.ends_with("the agent of m-1 answers there")
    });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    // It takes the connection, and says nothing.
    let silent = look(&machine, "m-1", address);
    assert!(!silent.answered && silent.said.ends_with("no answer in time"), "{silent:?}");
    drop(closed);
    let refused = look(&machine, "m-1", address);
    assert!(!refused.answered && refused.said.contains("refused"), "{refused:?}");

    let request = json!({ "machine": "m-1", "address": "127.0.0.1", "port": 1 }).to_string();
    for token in [None, Some("guess")] {
        assert_eq!(machine.post_as(LOOK, token, &request), 401);
    }
    assert_eq!(machine.post_as(LOOK, Some("secret"), &request), 200);
    let more = json!({ "machine": "m-1", "address": "127.0.0.1", "port": 1, "path": "/v1/tasks" });
    assert_eq!(machine.post_as(LOOK, Some("secret"), &more.to_string()), 422);
}
