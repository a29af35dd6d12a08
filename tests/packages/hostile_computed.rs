//! Window packages whose nodes compute integers and truth values in a hostile way.

use super::builder::{Builder, floats, indices, int, tensor, text};

/// Returns a window package in which `rows` has the indices of the largest values of each row, from
/// 0 to 7.
fn with_indices() -> Builder {
    let attributes = vec![int("axis", 3), int("keepdims", 1)];
    Builder::window().node("ArgMax", &["fast"], "rows", attributes)
}

pub(super) fn computed_cases() -> Vec<(Builder, &'static str)> {
    let with = |builder: Builder, message: &'static str| (builder.finish("x"), message);
    let select = |builder: Builder, indices: &str, axis: i64| {
        builder.node("Gather", &["fast", indices], "x", vec![int("axis", axis)])
    };
    let offset = |operator: &str, by: i64| {
        with_indices().initializer(indices("by", &[by])).node(
            operator,
            &["rows", "by"],
            "i",
            vec![],
        )
    };
    let cast = |to: i64| Builder::window().node("Cast", &["fast"], "i", vec![int("to", to)]);
    let top = |k: i64, axis: i64| {
        Builder::window().initializer(indices("k", &[k])).node(
            "TopK",
            &["fast", "k"],
            "x",
            vec![int("axis", axis)],
        )
    };
    let grid = |attributes| {
        Builder::window().initializer(floats("grid", &[4, 1, 1, 2], &[0.0; 8])).node(
            "GridSample",
            &["fast", "grid"],
            "x",
            attributes,
        )
    };
    let truth = tensor("c", &[1], 9, vec![2]);
    vec![
        with(select(offset("Add", 1), "i", 2), "the computed indices are 1 to 8"),
        with(select(offset("Sub", 9), "i", 2), "the computed indices are -9 to -2"),
        with(select(offset("Mul", i64::MAX), "i", 2), "must be known to lie within"),
        with(select(with_indices(), "rows", 0), "the computed indices are 0 to 7"),
        with(select(cast(7), "i", 2), "must be known to lie within"),
        with(select(cast(9), "i", 2), "computed indices must be int64"),
        with(
            select(with_indices(), "rows", 2).node(
                "GatherElements",
                &["fast", "rows"],
                "y",
                vec![int("axis", 0)],
            ),
            "the computed indices are 0 to 7",
        ),
        with(offset("Div", 0), "float elements"),
        with(top(0, 3), "k must be one number from 1 to 8"),
        with(top(9, 3), "k must be one number from 1 to 8"),
        with(top(1, 4), "does not exist"),
        with(grid(vec![text("padding_mode", "reflection")]), "padding_mode must be"),
        with(grid(vec![text("mode", "bicubic")]), "mode must be"),
        with(
            Builder::window().node("Where", &["fast", "fast", "fast"], "x", vec![]),
            "truth values",
        ),
        with(Builder::window().node("Not", &["fast"], "x", vec![]), "must have truth values"),
        with(
            Builder::window().initializer(truth).node("Not", &["c"], "x", vec![]),
            "constant truth values",
        ),
        with(
            Builder::window().node("CumSum", &["fast", "fast"], "x", vec![]),
            "must be an integer",
        ),
        with(Builder::window().node("NonZero", &["fast"], "x", vec![]), "is not permitted"),
        with(Builder::window().node("Scan", &["fast"], "x", vec![]), "is not permitted"),
    ]
}
