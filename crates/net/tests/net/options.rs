//! Whether the options are really set.

use std::time::Duration;

use gelato_net::Limits;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::sockopt;

use crate::common::{Case, Role, Transport};

#[test]
fn both_ends_have_them() {
    for case in Case::all() {
        case.meet(
            Limits::default(),
            |peer| {
                peer.shake_hands().read_to_end();
            },
            |ours| {
                let ours = ours.unwrap();
                assert!(fcntl_getfd(&ours).unwrap().contains(FdFlags::CLOEXEC));
                assert!(fcntl_getfl(&ours).unwrap().contains(OFlags::NONBLOCK));
                assert!(sockopt::socket_keepalive(&ours).unwrap());
                if case.transport == Transport::Unix {
                    return;
                }
                assert_eq!(
                    sockopt::tcp_keepidle(&ours).unwrap(),
                    Duration::from_secs(27)
                );
                assert_eq!(
                    sockopt::tcp_keepintvl(&ours).unwrap(),
                    Duration::from_secs(3)
                );
                assert_eq!(sockopt::tcp_keepcnt(&ours).unwrap(), 3);
                assert_eq!(sockopt::tcp_user_timeout(&ours).unwrap(), 9000);
                let connecting = case.role == Role::Connecting;
                assert_eq!(sockopt::tcp_nodelay(&ours).unwrap(), connecting, "{case:?}");
            },
        );
    }
}

#[test]
fn a_monitor_gathers_its_output() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    sockopt::set_tcp_nodelay(&socket, true).unwrap();
    gelato_net::options::set_for_monitor(&socket);
    assert!(!sockopt::tcp_nodelay(&socket).unwrap());
    assert!(!sockopt::tcp_cork(&socket).unwrap());
    // The system doubles it for its own needs.
    assert_eq!(
        sockopt::socket_send_buffer_size(&socket).unwrap(),
        2 * 65536
    );
}
