//! One connection over a link: two ways, each a reader that says when bytes arrive and a writer that
//! lets them.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::answers::Answers;
use crate::fault::{Fault, Passage};
use crate::link::{Shape, Way};
use crate::wire::Wire;

/// Read at once, bytes.
const CHUNK: usize = 16 << 10;
/// Chunks on one way of a connection; a sender that is further ahead waits, as TCP has it.
const ON_THE_WAY: usize = 256;
/// Timers fire at whole milliseconds, the next one after their time: on average so much too late, µs.
const TIMER_US: u64 = 500;

/// Bytes, and when they arrive, µs.
type Sent = (u64, BytesMut);

/// Carries a connection to its end.
pub(crate) async fn carry(mut client: TcpStream, mut way: Way) {
    let Ok(mut server) = TcpStream::connect(way.to).await else {
        // Whoever cannot be reached cannot refuse either.
        way.passable().await;
        return reset(&client);
    };
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let mut shape = way.shape.clone();
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let answers = Mutex::new(Answers::default());
    let there = one_way(from_client, to_server, way.clone(), |bytes, way| {
        answers.lock().asked(bytes, way.errors_percent() > 0);
    });
    let back = one_way(from_server, to_client, way, |bytes, way| {
        let percent = way.errors_percent();
        let fails = || way.env.random_u64() % 100 < percent;
        answers.lock().answered(bytes, percent > 0, fails);
    });
    let is_broken = tokio::select! {
        biased;
        _ = shape.wait_for(|shape| shape.fault == Fault::Reset) => true,
        ended = async { tokio::try_join!(there, back) } => ended.is_err(),
    };
    if is_broken {
        reset(&client);
        reset(&server);
    }
}

/// Ends a connection, once it is dropped, without a word.
fn reset(stream: &TcpStream) {
    // Not set, it is closed in order: an end all the same.
    let _closed_instead = stream.set_zero_linger();
}

/// Everything that is sent one way, until its sender ends it.
async fn one_way(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    way: Way,
    follow: impl FnMut(&mut [u8], &Way),
) -> io::Result<()> {
    let (sent, arriving) = mpsc::channel(ON_THE_WAY);
    let arrivals = Arrivals { to, way: way.clone(), follow };
    tokio::try_join!(send(from, way, sent), arrivals.run(arriving))?;
    Ok(())
}

async fn send(mut from: ReadHalf<'_>, way: Way, sent: mpsc::Sender<Sent>) -> io::Result<()> {
    let mut wire = Wire::default();
    loop {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let delay_us = way.delay_us + way.now().fault.delay_us();
        let due_us = wire.send(way.env.monotonic_us(), delay_us);
        if sent.send((due_us, bytes)).await.is_err() {
            return Ok(());
        }
    }
}

/// The far end of one way.
struct Arrivals<'a, F> {
    to: WriteHalf<'a>,
    way: Way,
    /// Sees everything, and may change it.
    follow: F,
}

impl<F: FnMut(&mut [u8], &Way)> Arrivals<'_, F> {
    async fn run(mut self, mut arriving: mpsc::Receiver<Sent>) -> io::Result<()> {
        while let Some((due_us, mut bytes)) = arriving.recv().await {
            self.way.until(due_us).await;
            (self.follow)(&mut bytes, &self.way);
            self.write(bytes.freeze()).await?;
        }
        self.to.shutdown().await
    }

    /// As fast as the link lets it, which may change on the way.
    async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.way.passable().await;
            match self.way.now().fault.pace() {
                None => self.to.write_all(&std::mem::take(&mut bytes)).await?,
                Some((most, pause_ms)) => {
                    let piece = bytes.split_to(most.min(bytes.len()));
                    self.to.write_all(&piece).await?;
                    self.way.pause(pause_ms).await;
                }
            }
        }
        Ok(())
    }
}

impl Way {
    fn now(&self) -> Shape {
        *self.shape.borrow()
    }

    /// Of a hundred answers, so many that cannot be read.
    fn errors_percent(&self) -> u64 {
        u64::from(self.now().fault.errors_percent())
    }

    /// Waits until this time of the steady clock.
    async fn until(&self, due_us: u64) {
        let left_us = due_us.saturating_sub(self.env.monotonic_us());
        if left_us > 0 {
            let left_us = left_us.saturating_sub(TIMER_US).max(1);
            tokio::time::sleep(Duration::from_micros(left_us)).await;
        }
    }

    /// Waits for so long, or until something else is wrong with the link.
    async fn pause(&mut self, ms: u64) {
        let passed = self.env.sleep_ms(ms);
        self.shape.mark_unchanged();
        tokio::select! {
            biased;
            _ = self.shape.changed() => {}
            () = passed => {}
        }
    }

    /// Waits until the link lets something through.
    async fn passable(&mut self) {
        loop {
            let Shape { fault, since_us } = *self.shape.borrow_and_update();
            let for_ms = self.env.monotonic_us().saturating_sub(since_us) / 1_000;
            let most_ms = match fault.passage(for_ms) {
                Passage::Open => return,
                Passage::HeldFor(ms) => ms,
                Passage::Held => u64::from(u32::MAX),
            };
            let passed = self.env.sleep_ms(most_ms);
            let ended = tokio::select! {
                biased;
                changed = self.shape.changed() => changed.is_err(),
                () = passed => false,
            };
            // The link is gone, and this connection with it.
            if ended {
                return;
            }
        }
    }
}
