//! A client of the user's: its connection is watched, and its queue is not ours.

use crate::ears::Ears;
use crate::keeper::Present;
use crate::link::Link;
use crate::session;
use crate::wire::Wire;
use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tenure_core::driver::LinkNumber;
use tenure_core::port::ServerVersion;

/// How often the client's state is looked at: it tells nobody by itself.
const LOOK: Duration = Duration::from_millis(50);

/// Serves a lent client until it is aborted or the client has ended.
pub(crate) async fn watch(
    client: Client,
    wire: Arc<Wire>,
    inbox: Subscriber,
    (present, ears): (Arc<Present>, Arc<Ears>),
    store_timeout: Duration,
) {
    let looks = async {
        let mut connects = connects(&client);
        let mut number = LinkNumber(1);
        loop {
            tokio::time::sleep(LOOK).await;
            let up = client.connection_state() == State::Connected;
            let now = self::connects(&client);
            // A connection that was lost and is back between two looks has lost what was in flight.
            if present.borrow().is_some() && !(up && now == connects) {
                wire.close();
                present.send_replace(None);
                tracing::warn!("the lent NATS client is disconnected");
            }
            if up && present.borrow().is_none() {
                connects = now;
                number.0 += 1;
                wire.open();
                if let Some(link) = link(&client, &wire, number) {
                    ears.present(Arc::new(link), &present).await;
                    tracing::info!("the lent NATS client is connected again");
                } else {
                    wire.close();
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = session::receive(inbox, Arc::clone(&wire), store_timeout) => {}
        () = looks => {}
    }
    present.send_replace(None);
}

/// The link on a lent client that is connected; `None` when its server is too old now.
pub(crate) fn link(client: &Client, wire: &Arc<Wire>, number: LinkNumber) -> Option<Link> {
    let version = ServerVersion::parse(&client.server_info().version)?;
    if !version.supported() {
        tracing::error!(%version, "the lent NATS client is connected to a server that is too old");
        return None;
    }
    let jetstream = client.server_info().jetstream;
    let capabilities = session::capabilities(client, version, jetstream);
    Some(Link {
        client: client.clone(),
        wire: Arc::clone(wire),
        number,
        // It keeps its subscriptions over all of them.
        session: 1,
        capabilities,
    })
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}
