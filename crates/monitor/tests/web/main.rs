//! The server as browsers meet it: real sockets on the loopback interface, and events made up by the tests.

mod access;
mod site;
mod stalled;
mod stream;
