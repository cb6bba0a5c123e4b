//! The actors that these tests ask.

use crate::api::actor::{
    Actor, ActorCx, ActorError, ActorSettings, Handle, HandleOther, Handlers, InitError, OnPanic,
    OnStuck, RawMessage, Watched, Why,
};
use crate::api::{Bytes, Never};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! messages {
    ($($name:ident $stable:literal { $($field:ident: $type:ty),* }),* $(,)?) => { $(
        #[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
        #[message(crate = "crate::api", name = $stable, version = 1)]
        pub(super) struct $name {
            $(pub(super) $field: $type),*
        }
    )* };
}

messages! {
    Add "add" { by: u64 },
    Get "get" {},
    Nap "nap" { ms: u64 },
    NapAndTell "nap_and_tell" { ms: u64 },
    NapAndNote "nap_and_note" { ms: u64 },
    Explode "explode" {},
    Deny "deny" { why: String },
    AskOther "ask_other" { key: String },
    AskMe "ask_me" {},
    TellMe "tell_me" {},
    Tick "tick" {},
    Wind "wind" { after_ms: u64, every_ms: u64 },
    WindAll "wind_all" { names: Vec<String>, off: Vec<String> },
    Unwind "unwind" {},
    Work "work" { ms: u64, tasks: u64 },
    Look "look" { key: String },
    Leave "leave" {},
    Where "where" {},
    Forever "forever" {},
    Strange "strange" { n: u64 },
}

/// A counter that does a bit of everything.
pub(super) struct Counter {
    count: u64,
    ticks: u64,
    ends: Vec<String>,
}

/// Stop hooks that ran, over all counters of the process whose key says so.
pub(super) static STOPS: AtomicU64 = AtomicU64::new(0);

impl Actor for Counter {
    const KIND: &'static str = "counter";

    fn settings() -> ActorSettings {
        ActorSettings::default()
            .mailbox_max(4)
            .idle_after(Duration::from_secs(60))
            .restart_delay(Duration::from_millis(100), Duration::from_secs(10))
            .restarts(2, Duration::from_secs(60))
            .patience(Duration::from_secs(10), OnStuck::Abort)
            .tasks_max(2)
    }

    async fn init(cx: &mut ActorCx<Self>) -> Result<Self, InitError> {
        if cx.key().starts_with("bad") {
            return Err(InitError::new("a bad key"));
        }
        if cx.key().starts_with("slow") {
            cx.sleep(Duration::from_secs(1)).await;
        }
        Ok(Self {
            count: 0,
            ticks: 0,
            ends: Vec::new(),
        })
    }

    async fn stop(&mut self, _: Why, cx: &mut ActorCx<Self>) {
        if cx.key().starts_with("hook") {
            STOPS.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn ended(&mut self, whom: Watched, _: &mut ActorCx<Self>) {
        self.ends.push(format!("{:?}", whom.ended));
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers
            .on::<Add>()
            .on::<Get>()
            .on::<Nap>()
            .on::<NapAndTell>()
            .on::<NapAndNote>()
            .on::<Explode>()
            .on::<Deny>()
            .on::<AskOther>()
            .on::<AskMe>()
            .on::<TellMe>()
            .on::<Tick>()
            .on::<Wind>()
            .on::<WindAll>()
            .on::<Unwind>()
            .on::<Work>()
            .on::<Look>()
            .on::<Leave>()
            .on::<Where>()
            .on::<Forever>()
    }
}

/// Writes a handler that cannot say no.
macro_rules! handle {
    ($actor:ident, $message:ident, $reply:ty, |$this:ident, $m:ident, $cx:ident| $body:block) => {
        impl Handle<$message> for $actor {
            type Reply = $reply;
            type Error = Never;

            async fn handle(
                &mut self,
                $m: $message,
                $cx: &mut ActorCx<Self>,
            ) -> Result<$reply, Never> {
                let $this = self;
                Ok($body)
            }
        }
    };
}

handle!(Counter, Add, u64, |this, m, _cx| {
    this.count += m.by;
    this.count
});
handle!(Counter, Get, (u64, u64, Vec<String>), |this, _m, _cx| {
    (this.count, this.ticks, this.ends.clone())
});
handle!(Counter, Nap, bool, |_this, m, cx| {
    cx.sleep(Duration::from_millis(m.ms)).await;
    cx.caller_has_gone()
});
handle!(Counter, NapAndTell, bool, |_this, m, cx| {
    cx.sleep(Duration::from_millis(m.ms)).await;
    cx.me().tell(Add { by: 1 }).await.is_ok()
});
handle!(Counter, NapAndNote, (), |this, m, cx| {
    cx.sleep(Duration::from_millis(m.ms)).await;
    this.ends.push(format!("gone: {}", cx.caller_has_gone()));
});
handle!(Counter, Explode, u64, |this, _m, _cx| {
    this.count += 1_000;
    boom()
});
handle!(Counter, AskOther, String, |_this, m, cx| {
    let answer = cx
        .actor::<Counter>(&m.key)
        .ask(AskOther {
            key: cx.key().to_owned(),
        })
        .await;
    match answer {
        Ok(text) => text,
        Err(error) => format!("{error:?}"),
    }
});
handle!(Counter, AskMe, String, |_this, _m, cx| {
    let key = cx.key().to_owned();
    let answer = cx.actor::<Counter>(&key).ask(Add { by: 1 }).await;
    format!("{answer:?}")
});
handle!(Counter, TellMe, bool, |_this, _m, cx| {
    let key = cx.key().to_owned();
    cx.actor::<Counter>(&key).tell(Add { by: 1 }).await.is_ok()
});
handle!(Counter, Tick, (), |this, _m, _cx| {
    this.ticks += 1;
});
handle!(Counter, Wind, bool, |_this, m, cx| {
    let time = Duration::from_millis(m.after_ms);
    match m.every_ms {
        0 => cx.after("tick", time, Tick {}).is_ok(),
        every => cx
            .every("tick", Duration::from_millis(every), Tick {})
            .is_ok(),
    }
});
handle!(Counter, WindAll, usize, |_this, m, cx| {
    for name in &m.off {
        cx.cancel(name);
    }
    let time = Duration::from_secs(3_600);
    let set = m
        .names
        .iter()
        .filter(|name| cx.after(name, time, Tick {}).is_ok());
    set.count()
});
handle!(Counter, Unwind, (), |_this, _m, cx| {
    cx.cancel("tick");
});
handle!(Counter, Work, u64, |_this, m, cx| {
    let mut begun = 0;
    for _ in 0..m.tasks {
        let (me, clock) = (cx.me(), cx.clock());
        let task = async move {
            clock.sleep(Duration::from_millis(m.ms)).await;
            let told = me.tell(Add { by: 1 }).await;
            assert!(told.is_ok());
        };
        begun += u64::from(cx.spawn(task).is_ok());
    }
    begun
});
handle!(Counter, Look, bool, |_this, m, cx| {
    let whom = cx.actor::<Counter>(&m.key);
    cx.watch(&whom).is_ok()
});
handle!(Counter, Leave, (), |_this, _m, cx| {
    cx.passivate();
});
handle!(Counter, Where, (String, Option<u64>), |_this, _m, cx| {
    let user = cx.metadata().header_value("user").unwrap_or("nobody");
    let epoch = cx.epoch().map(|epoch| epoch.sequence.0);
    (format!("{} on {} for {user}", cx.key(), cx.node()), epoch)
});
handle!(Counter, Forever, (), |_this, _m, _cx| {
    std::future::pending::<()>().await;
});

fn boom() -> u64 {
    panic!("boom")
}

impl Handle<Deny> for Counter {
    type Reply = ();
    type Error = String;

    async fn handle(&mut self, message: Deny, _: &mut ActorCx<Self>) -> Result<(), String> {
        Err(message.why)
    }
}

/// Goes on after a panic, and takes any message.
pub(super) struct Tough {
    count: u64,
}

impl Actor for Tough {
    const KIND: &'static str = "tough";

    fn settings() -> ActorSettings {
        ActorSettings::default()
            .on_panic(OnPanic::Resume)
            .inline(false)
    }

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self { count: 0 })
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Add>().on::<Explode>().otherwise()
    }
}

handle!(Tough, Add, u64, |this, m, _cx| {
    this.count += m.by;
    this.count
});
handle!(Tough, Explode, u64, |this, _m, _cx| {
    this.count += 1_000;
    boom()
});

// As a newer program has it: this one does not name it among its messages.
handle!(Tough, Strange, String, |_this, _m, _cx| { String::new() });
handle!(Counter, Strange, String, |_this, _m, _cx| { String::new() });

impl HandleOther for Tough {
    async fn handle_other(
        &mut self,
        message: RawMessage,
        _: &mut ActorCx<Self>,
    ) -> Result<Bytes, RawMessage> {
        if message.name != "strange" {
            return Err(message);
        }
        let text = format!("{} of {} bytes", message.name, message.data.len());
        let codec = crate::format::Codec::Cbor;
        codec.encode(&text).map_err(|_| message)
    }
}

/// The reply of an ask that cannot be rejected.
pub(super) type Told<R> = Result<R, ActorError<Never>>;
