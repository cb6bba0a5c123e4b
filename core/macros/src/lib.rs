#![doc = "Derive macros."]
