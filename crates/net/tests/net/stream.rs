//! What only the asynchronous connection can: being cancelled, split, a monitor's end.

use std::time::Duration;

use gelato_net::{Limits, NetError, stream};
use gelato_wire::Message;
use gelato_wire::msg::MonGetCs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{LONG, SHORT, frame, runtime, text};

const EXCHANGE: &[u8] = b"\x2c\0\0\0\x2c\0\0\0";

/// Our accepted end and a plain socket.
async fn pair(limits: Limits) -> (stream::Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut peer = TcpStream::connect(address).await.unwrap();
    peer.write_all(EXCHANGE).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let ours = stream::Connection::accept(socket, limits).await.unwrap();
    assert_eq!(ours.local_addr(), Some(address));
    assert_eq!(ours.peer().address(), peer.local_addr().ok());
    let mut said = [0; 8];
    peer.read_exact(&mut said).await.unwrap();
    assert_eq!(said, EXCHANGE);
    (ours, peer)
}

#[test]
fn receiving_can_be_cancelled_at_every_byte() {
    runtime().block_on(async {
        let (mut ours, mut peer) = pair(Limits::default()).await;
        let message = text(50, b'x');
        for byte in frame(&message) {
            // Polled once, then dropped.
            tokio::select! {
                biased;
                early = ours.receive(None, "nothing") => panic!("{early:?}"),
                () = std::future::ready(()) => {}
            }
            peer.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(ours.receive(Some(LONG), "it").await.unwrap(), message);
    });
}

#[test]
fn a_cancelled_send_tears_no_message() {
    runtime().block_on(async {
        let (mut ours, mut peer) = pair(Limits::default()).await;
        let mut expected = Vec::new();
        for fill in 1..=40 {
            let message = text(1_000_000, fill);
            expected.extend_from_slice(&frame(&message));
            tokio::select! {
                biased;
                sent = ours.send(&message) => sent.unwrap(),
                () = std::future::ready(()) => {}
            }
        }
        expected.extend_from_slice(&frame(&Message::End));
        let mut seen = vec![0; expected.len()];
        let (sent, read) = tokio::join!(ours.send(&Message::End), peer.read_exact(&mut seen));
        sent.unwrap();
        read.unwrap();
        assert!(seen == expected);
    });
}

#[test]
fn the_halves_work_in_two_tasks() {
    runtime().block_on(async {
        let (a, peer) = pair(Limits::default()).await;
        drop(peer);
        drop(a);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async {
            let (socket, _) = listener.accept().await.unwrap();
            stream::Connection::accept(socket, Limits::default()).await
        };
        let connect = stream::Connection::connect_tcp(address, Limits::default());
        let (a, b) = tokio::join!(accept, connect);
        let mut tasks = Vec::new();
        for connection in [a.unwrap(), b.unwrap()] {
            let (mut reader, mut writer) = connection.split();
            tasks.push(tokio::spawn(async move {
                for fill in 1..=20 {
                    writer.send(&text(500_000, fill)).await.unwrap();
                }
            }));
            tasks.push(tokio::spawn(async move {
                for fill in 1..=20 {
                    let message = reader.receive(Some(LONG), "it").await.unwrap();
                    assert_eq!(message, text(500_000, fill));
                }
                // The other writer has been dropped.
                let end = reader.receive(Some(LONG), "the end").await.unwrap_err();
                assert!(end.is_closed(), "{end}");
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn queued_messages_go_out_together() {
    runtime().block_on(async {
        let (ours, mut peer) = pair(Limits::default()).await;
        let (_reader, mut writer) = ours.split();
        writer.queue(&Message::End).unwrap();
        writer.queue(&Message::Ping).unwrap();
        assert_eq!(writer.queued(), 16);
        assert!(writer.try_flush().unwrap());
        assert_eq!(writer.queued(), 0);
        let mut said = [0; 16];
        peer.read_exact(&mut said).await.unwrap();
        assert_eq!(said[..8], frame(&Message::End));
        assert_eq!(said[8..], frame(&Message::Ping));

        // Somebody who does not read is noticed without waiting.
        for _ in 0..64 {
            writer.queue(&text(1_000_000, b'x')).unwrap();
            if !writer.try_flush().unwrap() {
                break;
            }
        }
        assert!(writer.queued() > 0);
    });
}

#[test]
fn closing_wakes_a_reader_that_waits() {
    runtime().block_on(async {
        let (ours, _peer) = pair(Limits::default()).await;
        let (mut reader, mut writer) = ours.split();
        let waiting = tokio::spawn(async move { reader.receive(None, "anything").await });
        tokio::task::yield_now().await;
        writer.close();
        assert!(waiting.await.unwrap().unwrap_err().is_closed());
        assert!(matches!(
            writer.send(&Message::End).await,
            Err(NetError::Send { .. })
        ));
    });
}

#[test]
fn a_split_writer_stalls_for_a_limited_time() {
    runtime().block_on(async {
        let limits = Limits {
            stall: SHORT,
            ..Limits::default()
        };
        let (ours, _peer) = pair(limits).await;
        let (_reader, mut writer) = ours.split();
        let large = text(1_000_000, b'x');
        let mut result = Ok(());
        for _ in 0..64 {
            result = writer.send(&large).await;
            if result.is_err() {
                break;
            }
        }
        assert!(matches!(result, Err(NetError::Stalled { .. })));
    });
}

#[test]
fn a_monitor_understands_the_other_numbers() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let message = Message::MonGetCs(MonGetCs {
            job_id: 5,
            ..MonGetCs::default()
        });
        let mut bytes = frame(&message);
        assert_eq!(bytes[4..8], [0, 0, 0, 83]);
        bytes[7] = 71;
        let scheduler = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(EXCHANGE).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            socket
        };
        let connect = stream::Connection::connect_as_monitor(address, Limits::default());
        let (_scheduler, monitor) = tokio::join!(scheduler, connect);
        let seen = monitor.unwrap().receive(Some(LONG), "a job").await.unwrap();
        assert_eq!(seen, message);
    });
}

#[test]
fn a_flood_of_messages_lets_other_tasks_run() {
    runtime().block_on(async {
        let (mut ours, mut peer) = pair(Limits::default()).await;
        let flood = frame(&Message::Ping).repeat(10_000);
        let flooding = tokio::spawn(async move { while peer.write_all(&flood).await.is_ok() {} });
        let receiving = tokio::spawn(async move {
            loop {
                ours.receive(None, "more").await.unwrap();
            }
        });
        // On one thread this returns only if the others give way.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(Duration::ZERO, std::future::pending::<()>())
            .await
            .unwrap_err();
        receiving.abort();
        flooding.abort();
    });
}
