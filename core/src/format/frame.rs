//! Frames: requests and answers for one destination, coalesced into one NATS message (S21).
