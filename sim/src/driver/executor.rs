//! The executor: one thread, virtual time, and which ready task runs next is drawn. Tasks belong to a
//! life of a node, so that all of them end with it.
//!
//! What is ready is a set: in which order tasks were woken decides nothing. So nothing rests on the
//! order in which `tokio::sync::watch` wakes who waits, which is drawn from the operating system.

use super::world::{Home, Stuck, World};
use crate::oracle::Violation;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Names a task of a run; they rise.
pub(super) type TaskId = u64;

/// What a node's task does.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future that the run is for.
pub(super) const MAIN: TaskId = 0;

/// The tasks that were woken and not polled since, each with the event that woke it first.
#[derive(Debug, Default)]
pub(super) struct Ready {
    woken: Mutex<BTreeMap<TaskId, u64>>,
    /// What happens now. In one event nothing rests on the order in which tasks are woken.
    event: AtomicU64,
}

impl Ready {
    pub(super) fn wake(&self, task: TaskId) {
        let event = self.event.load(Ordering::Relaxed);
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(task)
            .or_insert(event);
    }

    /// What happens from now on.
    pub(super) fn begins(&self, event: u64) {
        self.event.store(event, Ordering::Relaxed);
    }

    /// Takes a task out; the event that woke it.
    fn take(&self, task: TaskId) -> u64 {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.remove(&task).unwrap_or(0)
    }

    fn all(&self, into: &mut Vec<TaskId>) {
        into.clear();
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        into.extend(woken.keys());
    }
}

struct Woken {
    task: TaskId,
    ready: Arc<Ready>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.ready.wake(self.task);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.wake(self.task);
    }
}

struct Task {
    home: Home,
    work: Work,
    waker: Waker,
}

/// What comes next.
enum Next {
    Poll(TaskId),
    /// The world goes on to a true time.
    At(u64),
}

/// Runs the tasks of one world.
pub(super) struct Executor {
    world: Arc<World>,
    tasks: BTreeMap<TaskId, Task>,
    /// Room for what is ready.
    ready: Vec<TaskId>,
}

impl Executor {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self {
            world,
            tasks: BTreeMap::new(),
            ready: Vec::new(),
        }
    }

    /// Runs until the main future ends; `None` when the run is cut before.
    pub(super) fn run<T>(&mut self, main: impl Future<Output = T>) -> Result<Option<T>, Violation> {
        let mut main = Box::pin(main);
        let waker = self.waker(MAIN);
        waker.wake_by_ref();
        loop {
            self.take_in();
            match self.next()? {
                Next::Poll(MAIN) => {
                    let cause = self.world.ready.take(MAIN);
                    self.world.state().begin(MAIN, Home::TESTER, cause);
                    let polled = main.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(value) = polled {
                        return Ok(Some(value));
                    }
                }
                Next::Poll(task) => self.poll(task),
                Next::At(time) => {
                    let mut state = self.world.state();
                    if state.plan.until.is_some_and(|until| time > until) {
                        return Ok(None);
                    }
                    state.advance(time)?;
                }
            }
        }
    }

    fn poll(&mut self, id: TaskId) {
        let cause = self.world.ready.take(id);
        let task = self.tasks.get_mut(&id).expect("a task that is ready");
        self.world.state().begin(id, task.home, cause);
        let polled = task
            .work
            .as_mut()
            .poll(&mut Context::from_waker(&task.waker));
        self.world.state().look_at(task.home);
        if polled.is_ready() {
            drop(self.tasks.remove(&id));
        }
    }

    /// Takes in what was spawned, and drops what was aborted or died with its node. Nothing of a
    /// future's drop runs while the world is locked.
    fn take_in(&mut self) {
        loop {
            let changes = self.world.state().take_changes();
            if changes.is_none() {
                return;
            }
            for spawned in changes.spawned {
                let waker = self.waker(spawned.id);
                waker.wake_by_ref();
                let task = Task {
                    home: spawned.home,
                    work: spawned.work,
                    waker,
                };
                self.tasks.insert(spawned.id, task);
            }
            for id in changes.aborted {
                drop(self.tasks.remove(&id));
            }
            if !changes.died.is_empty() {
                let of_dead = |task: &Task| changes.died.contains(&task.home);
                let dead: Vec<TaskId> = self
                    .tasks
                    .iter()
                    .filter(|(_, task)| of_dead(task))
                    .map(|(id, _)| *id)
                    .collect();
                for id in dead {
                    drop(self.tasks.remove(&id));
                }
            }
            drop(changes.trash);
        }
    }

    fn next(&mut self) -> Result<Next, Violation> {
        self.world.ready.all(&mut self.ready);
        let mut state = self.world.state();
        let now = state.now;
        let due = state.next_due();
        if due.is_some_and(|at| at <= now) {
            return Ok(Next::At(now));
        }
        let mut wait = due;
        let tasks = &self.tasks;
        let ready = &self.world.ready;
        self.ready.retain(|id| {
            let home = match tasks.get(id) {
                Some(task) => task.home,
                None if *id == MAIN => Home::TESTER,
                // It is gone.
                None => {
                    ready.take(*id);
                    return false;
                }
            };
            let free_at = state.free_at(home);
            if free_at > now {
                wait = Some(wait.map_or(free_at, |wait| wait.min(free_at)));
            }
            free_at <= now
        });
        match (state.pick(self.ready.len()), wait) {
            (Some(index), _) => Ok(Next::Poll(self.ready[index])),
            (None, Some(at)) => Ok(Next::At(at)),
            (None, None) => Err(Stuck.into()),
        }
    }

    fn waker(&self, task: TaskId) -> Waker {
        Waker::from(Arc::new(Woken {
            task,
            ready: Arc::clone(&self.world.ready),
        }))
    }
}

impl Drop for Executor {
    /// The tasks of all nodes end, each node's as those of one that was killed.
    fn drop(&mut self) {
        self.world.state().end_all();
        for (_, task) in std::mem::take(&mut self.tasks) {
            drop(task);
        }
        self.take_in();
    }
}
