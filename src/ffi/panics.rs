//! The panic hook of the C ABI.
//!
//! Rust's default hook prints each panic to standard error, even if the panic is caught. The hook
//! of the C ABI passes the panics inside the library to the host's log function instead. Panics of
//! other Rust code in the process, and panics in real-time calls, which do not set the context, go
//! to the hook that was installed before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

/// What the current thread is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// The thread is not in the library, or is in a real-time call.
    Outside,
    /// The thread is in a call that is not a real-time call, or belongs to the library.
    Library,
}

thread_local! {
    // The value has no destructor, so it can be used in destructors of the host.
    static CONTEXT: Cell<Context> = const { Cell::new(Context::Outside) };
}

/// A guard that restores the previous context of the thread.
pub(super) struct ContextGuard(Context);

/// Sets the context of the thread until the guard is dropped.
pub(super) fn enter(context: Context) -> ContextGuard {
    ContextGuard(CONTEXT.replace(context))
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        CONTEXT.set(self.0);
    }
}

/// Marks the current thread as a thread of the library.
pub(super) fn adopt_thread() {
    CONTEXT.set(Context::Library);
}

/// Installs the panic hook if it is not installed yet.
pub(super) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| set_hook(extend_hook(take_hook())));
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

fn extend_hook(earlier: Hook) -> Hook {
    Box::new(move |info| match CONTEXT.get() {
        Context::Outside => earlier(info),
        Context::Library => log::error!("{info}"),
    })
}

/// Returns the message of a caught panic.
pub(super) fn describe_panic(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("unknown cause")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_restores_the_context() {
        let outer = enter(Context::Library);
        drop(enter(Context::Outside));
        assert!(CONTEXT.get() == Context::Library);
        drop(outer);
        assert!(CONTEXT.get() == Context::Outside);
    }

    #[test]
    fn only_panics_outside_the_library_reach_the_earlier_hook() {
        use std::panic::catch_unwind;
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let test = std::thread::current().id();
        let earlier = take_hook();
        set_hook(extend_hook(Box::new(move |info| {
            if std::thread::current().id() == test {
                SEEN.fetch_add(1, SeqCst);
            } else {
                earlier(info);
            }
        })));
        for (context, seen) in [(Context::Library, 0), (Context::Outside, 1)] {
            let _context = enter(context);
            assert!(catch_unwind(|| panic!("on purpose")).is_err());
            assert_eq!(SEEN.load(SeqCst), seen);
        }
    }

    #[test]
    fn the_message_of_a_panic_is_found() {
        assert_eq!(describe_panic(&String::from("a")), "a");
        assert_eq!(describe_panic(&"b"), "b");
        assert_eq!(describe_panic(&7), "unknown cause");
    }
}
