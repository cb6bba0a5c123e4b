//! `#[derive(Event)]`: each variant's fields through a serde type of their own.

use crate::attribute::{Attributes, Stable};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::BTreeSet;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Ident, Path, Result, Type};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "events have no generic parameters: a stored name stands for one type",
        ));
    }
    let attributes = Attributes::parse("event", &input.attrs)?;
    let (krate, schemas) = (attributes.krate(), attributes.schemas());
    let cases = match &input.data {
        Data::Enum(data) => {
            attributes.no_stable("the names and versions stand on the enum's variants")?;
            if data.variants.is_empty() {
                return Err(Error::new_spanned(
                    &input.ident,
                    "an enum of events is empty",
                ));
            }
            let cases = data.variants.iter().map(|variant| {
                let variant_ident = &variant.ident;
                let what = format!("the event `{variant_ident}`");
                let attributes = Attributes::parse("event", &variant.attrs)?;
                let attributes = attributes.no_schemas("`schemas` stands on the enum")?;
                let stable = attributes.stable("event", &what, variant_ident.span())?;
                Case::new(
                    quote!(Self::#variant_ident),
                    variant_ident,
                    stable,
                    &variant.fields,
                )
            });
            cases.collect::<Result<Vec<_>>>()?
        }
        Data::Struct(data) => {
            let what = format!("the event `{}`", input.ident);
            let stable = attributes.stable("event", &what, input.ident.span())?;
            vec![Case::new(quote!(Self), &input.ident, stable, &data.fields)?]
        }
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span,
                "a union cannot be an event; use a struct or an enum",
            ));
        }
    };
    check_unique(&cases)?;
    let mut tokens = implementation(&input.ident, &krate, &cases);
    if schemas {
        tokens.extend(schemas_of(&input.ident, &krate, &cases));
    }
    Ok(tokens)
}

/// One event type.
struct Case<'a> {
    /// How it is built and matched.
    path: TokenStream,
    ident: &'a Ident,
    stable: Stable,
    shape: Shape<'a>,
}

enum Shape<'a> {
    Unit,
    Newtype(&'a Type),
    Named(Vec<NamedField<'a>>),
}

struct NamedField<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    serde: Vec<&'a Attribute>,
}

impl<'a> Case<'a> {
    fn new(
        path: TokenStream,
        ident: &'a Ident,
        stable: Stable,
        fields: &'a Fields,
    ) -> Result<Self> {
        let shape = match fields {
            Fields::Unit => Shape::Unit,
            Fields::Unnamed(unnamed) => match unnamed.unnamed.len() {
                0 => Shape::Unit,
                1 => Shape::Newtype(&unnamed.unnamed[0].ty),
                _ => {
                    return Err(Error::new_spanned(
                        unnamed,
                        "an event with several fields names them: their names are what is stored",
                    ));
                }
            },
            Fields::Named(named) => Shape::Named(named.named.iter().map(NamedField::new).collect()),
        };
        let path = match fields {
            Fields::Unnamed(unnamed) if unnamed.unnamed.is_empty() => quote!(#path {}),
            Fields::Unnamed(_) | Fields::Named(_) | Fields::Unit => path,
        };
        Ok(Self {
            path,
            ident,
            stable,
            shape,
        })
    }

    fn wildcard(&self) -> TokenStream {
        let path = &self.path;
        match &self.shape {
            Shape::Unit => quote!(#path),
            Shape::Newtype(_) => quote!(#path(_)),
            Shape::Named(_) => quote!(#path { .. }),
        }
    }

    fn encode(&self, krate: &Path) -> TokenStream {
        let path = &self.path;
        let serde_path = serde_path(krate);
        match &self.shape {
            Shape::Unit => quote!(#path => codec.encode(&()),),
            Shape::Newtype(_) => quote!(#path(value) => codec.encode(value),),
            Shape::Named(fields) => {
                let idents: Vec<_> = fields.iter().map(|f| f.ident).collect();
                let declared = fields.iter().map(|f| {
                    let (ident, ty, serde) = (f.ident, f.ty, &f.serde);
                    quote!(#(#serde)* #ident: &'event #ty)
                });
                let name = format_ident!("{}Fields", self.ident);
                // Without fields the lifetime would be unused.
                let (lifetime, declared) = if fields.is_empty() {
                    (quote!(), quote!())
                } else {
                    (quote!(<'event>), quote!(#(#declared),*))
                };
                quote! {
                    #path { #(#idents),* } => {
                        #[derive(#krate::__private::serde::Serialize)]
                        #[serde(crate = #serde_path)]
                        struct #name #lifetime { #declared }
                        codec.encode(&#name { #(#idents),* })
                    }
                }
            }
        }
    }

    fn decode(&self, krate: &Path) -> TokenStream {
        let path = &self.path;
        let serde_path = serde_path(krate);
        let (stored, version) = (&self.stable.name, self.stable.version);
        let body = match &self.shape {
            Shape::Unit => quote!({
                codec.decode::<()>(data)?;
                #path
            }),
            Shape::Newtype(ty) => quote!(#path(codec.decode::<#ty>(data)?)),
            Shape::Named(fields) => {
                let idents: Vec<_> = fields.iter().map(|f| f.ident).collect();
                let declared = fields.iter().map(|f| {
                    let (ident, ty, serde) = (f.ident, f.ty, &f.serde);
                    quote!(#(#serde)* #ident: #ty)
                });
                let name = format_ident!("{}Fields", self.ident);
                quote!({
                    #[derive(#krate::__private::serde::Deserialize)]
                    #[serde(crate = #serde_path)]
                    struct #name { #(#declared),* }
                    let #name { #(#idents),* } = codec.decode(data)?;
                    #path { #(#idents),* }
                })
            }
        };
        quote!((#stored, #version) => #body,)
    }
}

impl Case<'_> {
    fn schema(&self, krate: &Path) -> TokenStream {
        let schemars_path = serde_path(krate).replace("serde", "schemars");
        let (stored, version) = (&self.stable.name, self.stable.version);
        let (declared, of) = match &self.shape {
            Shape::Unit => (quote!(), quote!(())),
            Shape::Newtype(ty) => (quote!(), quote!(#ty)),
            Shape::Named(fields) => {
                let declared = fields.iter().map(|f| {
                    let (ident, ty, serde) = (f.ident, f.ty, &f.serde);
                    quote!(#(#serde)* #ident: #ty)
                });
                let name = format_ident!("{}Fields", self.ident);
                let declared = quote! {
                    #[derive(#krate::__private::schemars::JsonSchema)]
                    #[schemars(crate = #schemars_path)]
                    #[allow(dead_code)]
                    struct #name { #(#declared),* }
                };
                (declared, quote!(#name))
            }
        };
        quote!({
            #declared
            #krate::model::schema_of::<#of>(#stored, #version)
        })
    }
}

impl<'a> NamedField<'a> {
    fn new(field: &'a Field) -> Self {
        Self {
            ident: field.ident.as_ref().expect("a named field"),
            ty: &field.ty,
            serde: field
                .attrs
                .iter()
                .filter(|a| a.path().is_ident("serde"))
                .collect(),
        }
    }
}

/// What the fields of each case are, as JSON Schema.
fn schemas_of(ident: &Ident, krate: &Path, cases: &[Case<'_>]) -> TokenStream {
    let schemas = cases.iter().map(|case| case.schema(krate));
    quote! {
        #[automatically_derived]
        impl #krate::model::EventSchemas for #ident {
            fn schemas() -> ::std::vec::Vec<#krate::model::EventSchema> {
                ::std::vec![#(#schemas),*]
            }
        }
    }
}

fn serde_path(krate: &Path) -> String {
    quote!(#krate::__private::serde)
        .to_string()
        .replace(' ', "")
}

fn check_unique(cases: &[Case<'_>]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for case in cases {
        let (name, version) = (case.stable.name.value(), case.stable.version);
        let text = format!(
            "two events are named {name:?} in version {version}: the log could not tell them apart"
        );
        if !seen.insert((name, version)) {
            return Err(Error::new(case.stable.name.span(), text));
        }
    }
    Ok(())
}

fn implementation(ident: &Ident, krate: &Path, cases: &[Case<'_>]) -> TokenStream {
    let private = quote!(#krate::__private);
    let types = cases.iter().map(|case| {
        let (name, version) = (&case.stable.name, case.stable.version);
        quote!((#name, #version))
    });
    let names = cases.iter().map(|case| {
        let (pattern, name) = (case.wildcard(), &case.stable.name);
        quote!(#pattern => #name,)
    });
    let schemas = cases.iter().map(|case| {
        let (pattern, version) = (case.wildcard(), case.stable.version);
        quote!(#pattern => #version,)
    });
    let encodes = cases.iter().map(|case| case.encode(krate));
    let decodes = cases.iter().map(|case| case.decode(krate));
    quote! {
        #[automatically_derived]
        impl #krate::Event for #ident {
            const TYPES: &'static [(&'static str, u16)] = &[#(#types),*];

            fn name(&self) -> &'static str {
                match self { #(#names)* }
            }

            fn schema(&self) -> u16 {
                match self { #(#schemas)* }
            }

            fn encode(
                &self,
                codec: #private::Codec,
            ) -> ::core::result::Result<#private::Bytes, #private::CodecError> {
                match self { #(#encodes)* }
            }

            fn decode(
                name: &str,
                schema: u16,
                codec: #private::Codec,
                data: &[u8],
            ) -> ::core::result::Result<::core::option::Option<Self>, #private::CodecError> {
                ::core::result::Result::Ok(::core::option::Option::Some(match (name, schema) {
                    #(#decodes)*
                    _ => return ::core::result::Result::Ok(::core::option::Option::None),
                }))
            }
        }
    }
}
