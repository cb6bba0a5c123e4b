//! `#[sim_test(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Error, ItemFn, LitInt, LitStr, Path, Result, Token, Type, parenthesized};

/// What the attribute says.
#[derive(Default)]
struct Arguments {
    seeds: Option<LitInt>,
    faults: Option<LitStr>,
    nodes: Option<LitInt>,
    shards: Option<LitInt>,
    within_s: Option<LitInt>,
    serve: Vec<Type>,
    actor: Vec<Type>,
    effect: Vec<Path>,
    krate: Option<Path>,
}

impl Arguments {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("seeds") {
            once(&mut self.seeds, some(meta)?, meta)
        } else if meta.path.is_ident("faults") {
            once(&mut self.faults, meta.value()?.parse()?, meta)
        } else if meta.path.is_ident("nodes") {
            once(&mut self.nodes, some(meta)?, meta)
        } else if meta.path.is_ident("shards") {
            once(&mut self.shards, some(meta)?, meta)
        } else if meta.path.is_ident("within_s") {
            once(&mut self.within_s, some(meta)?, meta)
        } else if meta.path.is_ident("serve") {
            self.serve.extend(list::<Type>(meta)?);
            Ok(())
        } else if meta.path.is_ident("actor") {
            self.actor.extend(list::<Type>(meta)?);
            Ok(())
        } else if meta.path.is_ident("effect") {
            self.effect.extend(list::<Path>(meta)?);
            Ok(())
        } else if meta.path.is_ident("crate") {
            let path: LitStr = meta.value()?.parse()?;
            once(&mut self.krate, path.parse()?, meta)
        } else {
            Err(meta.error(
                "expected `seeds`, `faults`, `nodes`, `shards`, `within_s`, `serve(…)`, `actor(…)`, \
                 `effect(…)` or `crate`",
            ))
        }
    }
}

fn once<T>(field: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> Result<()> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("it is given twice")),
    }
}

/// A number of something, of which there has to be one at least.
fn some(meta: &ParseNestedMeta<'_>) -> Result<LitInt> {
    let number: LitInt = meta.value()?.parse()?;
    match number.base10_parse::<u64>()? {
        0 => Err(Error::new_spanned(&number, "expected 1 or more")),
        1.. => Ok(number),
    }
}

fn list<T: Parse>(meta: &ParseNestedMeta<'_>) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in meta.input);
    let all = Punctuated::<T, Token![,]>::parse_terminated(&content)?;
    Ok(all.into_iter().collect())
}

pub(crate) fn expand(arguments: TokenStream, test: &ItemFn) -> Result<TokenStream> {
    let mut said = Arguments::default();
    syn::meta::parser(|meta| said.take(&meta)).parse2(arguments)?;
    let signature = &test.sig;
    if signature.asyncness.is_none() || signature.inputs.len() != 1 {
        return Err(Error::new_spanned(
            signature,
            "a simulated test is an `async fn` of one argument, the `Sim`",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a test has no generic parameters",
        ));
    }
    let krate = said.krate.unwrap_or_else(|| syn::parse_quote!(::tenure));
    let (name, attributes) = (&signature.ident, &test.attrs);
    let mut body = test.clone();
    body.attrs.clear();
    body.vis = syn::Visibility::Inherited;
    let seeds = said.seeds.map(|seeds| quote!(.count(#seeds)));
    let faults = said.faults.map(|faults| quote!(.faults(#faults)));
    let nodes = said.nodes.map(|nodes| quote!(.nodes(#nodes)));
    let shards = said.shards.map(|shards| quote!(.shards(#shards)));
    let within = said
        .within_s
        .map(|seconds| quote!(.within(::core::time::Duration::from_secs(#seconds))));
    let (serve, actor, effect) = (said.serve, said.actor, said.effect);
    Ok(quote! {
        #[test]
        #(#attributes)*
        fn #name() {
            #body
            let path = ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name));
            #krate::sim::Seeds::new(path, ::core::env!("CARGO_PKG_NAME"))
                #seeds
                #faults
                .run(
                    |cluster| cluster #nodes #shards #within
                        #(.serve::<#serve>())* #(.actor::<#actor>())* #(.effect_handler(#effect()))*,
                    #name,
                );
        }
    })
}
