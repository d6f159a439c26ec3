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
