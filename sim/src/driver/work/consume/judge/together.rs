//! Of one key the handler has one batch at most (C2).

use super::Judged;
use crate::driver::work::consume::book::Book;

pub(super) fn judge(book: &Book) -> Judged {
    book.together().map_or(Ok(()), Err)
}
