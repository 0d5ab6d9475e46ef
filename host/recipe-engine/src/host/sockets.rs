//! Sockets of a component's own. Each is a descriptor of the agent's, whether it ever connects or not:
//! a component has so many at a time, so that none can take all that the agent may have.

use super::State;
use crate::logbook::LogLevel;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{SocketError, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

/// Sockets that one call may hold at a time.
const MOST: usize = 64;

/// What makes sockets, and counts those that are there.
struct Counted<'a>(&'a mut State);

struct Counting;

impl HasData for Counting {
    type Data<'a> = Counted<'a>;
}

impl tcp_create_socket::Host for Counted<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let state = &mut *self.0;
        let held = state.table.iter_mut().filter(|entry| entry.is::<TcpSocket>()).count();
        if held >= MOST {
            let why = format!("a call holds at most {MOST} sockets at a time: close some first");
            state.scope.log.write(LogLevel::Warn, &why);
            return Err(ErrorCode::NewSocketLimit.into());
        }
        state.sockets().create_tcp_socket(family)
    }
}

// What comes with it is as WASI brings it.

impl network::Host for Counted<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.0.sockets().convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.0.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for Counted<'_> {
    fn drop(&mut self, network: Resource<network::Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.0.sockets(), network)
    }
}

/// Puts that in the place of what WASI brings for it.
pub(super) fn count(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let counted = tcp_create_socket::add_to_linker::<State, Counting>(linker, |it| Counted(it));
    linker.allow_shadowing(false);
    counted
}
