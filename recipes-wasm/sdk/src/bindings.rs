//! Generated from `wit/`.
#![allow(missing_docs, clippy::all, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    // `health` holds types only, so no world imports it by itself.
    inline: "
        package cerebro:recipe-sdk;
        world kit {
            include cerebro:recipe/imports@0.1.0;
            import cerebro:recipe/health@0.1.0;
        }
    ",
    world: "cerebro:recipe-sdk/kit",
    additional_derives: [PartialEq],
    generate_all,
});
