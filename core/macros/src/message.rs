//! `#[derive(Message)]`.

use crate::attribute::Attributes;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a message has no generic parameters: its stored name stands for one type",
        ));
    }
    let attributes = Attributes::parse("message", &input.attrs)?;
    let krate = attributes.krate();
    let ident = &input.ident;
    let stable = attributes.stable("message", "the message", ident.span())?;
    let (name, version) = (stable.name, stable.version);
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Message for #ident {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
        }
    })
}
