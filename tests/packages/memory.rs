//! Packages that try to make a runtime need more memory than their values take in the order of the
//! file.

use super::builder::{Builder, floats, indices, int, ints, text};
use super::tree::Message;

fn zeros(name: &str, shape: &[i64]) -> Message {
    floats(name, shape, &vec![0.0; shape.iter().product::<i64>() as usize])
}

/// Appends the nodes that turn values with one number each into the logits.
fn finish_with(builder: Builder, names: &[String]) -> Builder {
    let groups = names.chunks(1024).enumerate();
    let (builder, sums) =
        groups.fold((builder, Vec::new()), |(builder, mut sums), (index, group)| {
            let inputs: Vec<&str> = group.iter().map(String::as_str).collect();
            let name = format!("group{index}");
            let builder = builder.node("Max", &inputs, &name, vec![]);
            sums.push(name);
            (builder, sums)
        });
    let inputs: Vec<&str> = sums.iter().map(String::as_str).collect();
    builder.node("Max", &inputs, "all", vec![]).finish("all")
}

/// Returns pairs of a matrix product and its mean. In the order of the file, one product exists at
/// a time; a runtime that runs all products first keeps all of them. Each has 512 KiB.
pub(crate) fn independent_products(count: usize) -> Builder {
    let builder = Builder::default().initializer(zeros("w", &[8, 16_384]));
    let names: Vec<String> = (0..count).map(|index| format!("mean{index}")).collect();
    let builder = names.iter().enumerate().fold(builder, |builder, (index, name)| {
        let product = format!("product{index}");
        builder.node("MatMul", &["fast", "w"], &product, vec![]).node(
            "ReduceMean",
            &[&product],
            name,
            vec![],
        )
    });
    finish_with(builder, &names)
}

/// Returns steps in sequence. Each expands the result of the previous step to a shape, calls
/// `nodes` to add nodes that read the expanded value, and reduces the value to one number.
fn expand_in_sequence(
    builder: Builder,
    shapes: impl Iterator<Item = Vec<i64>>,
    nodes: impl Fn(Builder, usize, &str) -> (Builder, String),
) -> Builder {
    let first = builder.node("ReduceMean", &["fast"], "start", vec![int("keepdims", 0)]);
    let (builder, last) =
        shapes.enumerate().fold((first, "start".to_owned()), |(builder, last), (index, shape)| {
            let [name, size, mean] =
                ["large", "size", "small"].map(|prefix| format!("{prefix}{index}"));
            let builder = builder.initializer(indices(&size, &shape)).node(
                "Expand",
                &[&last, &size],
                &name,
                vec![],
            );
            let (builder, reduced) = nodes(builder, index, &name);
            let attributes = vec![int("keepdims", 0)];
            (builder.node("ReduceMean", &[&reduced], &mean, attributes), mean)
        });
    builder.finish(&last)
}

fn keep(builder: Builder, _: usize, name: &str) -> (Builder, String) {
    (builder, name.to_owned())
}

/// Returns values of growing size that exist one after the other, so no freed buffer is large
/// enough for the next value.
fn growing_values() -> Builder {
    expand_in_sequence(Builder::default(), (1..=40).map(|index| vec![index * 16_384]), keep)
}

/// Returns large values in turn with small values that exist until the end, for which a runtime may
/// use the buffer of a large value.
fn small_values_after_large_ones() -> Builder {
    let count = 40;
    let mut builder = Builder::default()
        .initializer(indices("large", &[1 << 18]))
        .initializer(indices("small", &[64]))
        .node("ReduceMean", &["fast"], "mean0", vec![int("keepdims", 0)]);
    let names: Vec<String> = (0..count).map(|index| format!("kept{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        let [mean, next] = [index, index + 1].map(|index| format!("mean{index}"));
        let value = format!("value{index}");
        builder = builder
            .node("Expand", &[&mean, "large"], &value, vec![])
            .node("ReduceMean", &[&value], &next, vec![int("keepdims", 0)])
            .node("Expand", &[&next, "small"], name, vec![]);
    }
    finish_with(builder, &names)
}

/// Returns large values that many nodes read. rten does not free them before the end of the run.
fn values_with_many_uses() -> Builder {
    expand_in_sequence(
        Builder::default(),
        std::iter::repeat_n(vec![1 << 18], 12),
        |builder, index, name| {
            let result = format!("max{index}");
            (builder.node("Max", &[name; 256], &result, vec![]), result)
        },
    )
}

/// Returns products whose bias is added at the end of the graph. A runtime that fuses the product
/// with the addition keeps the large factor until then.
fn products_with_late_biases() -> Builder {
    let count = 40;
    let builder = Builder::default()
        .initializer(zeros("column", &[4096, 1]))
        .initializer(zeros("bias", &[1]));
    let mut builder = builder.initializer(indices("shape", &[16, 4096])).node(
        "ReduceMean",
        &["fast"],
        "mean0",
        vec![int("keepdims", 0)],
    );
    for index in 0..count {
        let [mean, next] = [index, index + 1].map(|index| format!("mean{index}"));
        let [factor, product] = ["factor", "product"].map(|prefix| format!("{prefix}{index}"));
        builder = builder
            .node("Expand", &[&mean, "shape"], &factor, vec![])
            .node("ReduceMean", &[&factor], &next, vec![int("keepdims", 0)])
            .node("MatMul", &[&factor, "column"], &product, vec![]);
    }
    let names: Vec<String> = (0..count).map(|index| format!("biased{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        builder = builder.node("Add", &[&format!("product{index}"), "bias"], name, vec![]);
    }
    finish_with(builder, &names)
}

/// Returns a product of many matrices with one number each.
fn many_small_products() -> Builder {
    expand_in_sequence(
        Builder::default(),
        std::iter::once(vec![200_000, 1, 1]),
        |builder, _, name| {
            (builder.node("MatMul", &[name, name], "product", vec![]), "product".into())
        },
    )
}

/// Returns a product with factors whose packed form is much larger than the factors.
fn narrow_products() -> Builder {
    let builder = Builder::default().initializer(zeros("column", &[200_000, 1]));
    expand_in_sequence(builder, std::iter::once(vec![2, 3, 200_000]), |builder, _, name| {
        (builder.node("MatMul", &[name, "column"], "product", vec![]), "product".into())
    })
}

/// Returns convolutions of a batch with one output channel and a large window.
fn wide_convolutions() -> Builder {
    let builder = Builder::default().initializer(zeros("kernel", &[1, 2, 16, 16]));
    expand_in_sequence(builder, std::iter::once(vec![16, 2, 48, 48]), |builder, _, name| {
        let pads = ints("pads", &[8, 8, 8, 8]);
        let attributes = vec![pads, ints("strides", &[1, 1]), ints("dilations", &[1, 1])];
        (builder.node("Conv", &[name, "kernel"], "convolved", attributes), "convolved".into())
    })
}

/// Returns a depthwise convolution whose padding is much larger than its input and its output. Its
/// 16 channels are the ones that one thread convolves at a time, so the padding is also larger than
/// everything else that the bound of a run contains.
fn padded_depthwise_convolution() -> Builder {
    let builder = Builder::default().initializer(zeros("kernel", &[16, 1, 2, 3]));
    expand_in_sequence(builder, std::iter::once(vec![1, 16, 6, 5]), |builder, _, name| {
        let attributes = vec![
            int("group", 16),
            ints("pads", &[3400, 3600, 3200, 3000]),
            ints("strides", &[1660, 1740]),
            ints("dilations", &[2, 1]),
        ];
        (builder.node("Conv", &[name, "kernel"], "convolved", attributes), "convolved".into())
    })
}

/// Returns convolutions that share a kernel. A runtime that folds the batch normalizations copies
/// the kernel for each of them.
fn folded_kernels() -> Builder {
    let channels = 64;
    let attributes =
        || vec![ints("pads", &[0; 4]), ints("strides", &[1, 1]), ints("dilations", &[1, 1])];
    let mut builder = Builder::window().initializer(zeros("kernel", &[channels, 4, 3, 3]));
    for name in ["scale", "shift", "average", "variance"] {
        builder = builder.initializer(zeros(name, &[channels]));
    }
    builder = builder.initializer(indices("shape", &[1, 4, 8, 8])).node(
        "Reshape",
        &["fast", "shape"],
        "image",
        vec![],
    );
    let names: Vec<String> = (0..500).map(|index| format!("mean{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        let [convolved, normal] = ["convolved", "normal"].map(|prefix| format!("{prefix}{index}"));
        let statistics = [&convolved, "scale", "shift", "average", "variance"];
        builder = builder
            .node("Conv", &["image", "kernel"], &convolved, attributes())
            .node("BatchNormalization", &statistics, &normal, vec![])
            .node("ReduceMean", &[&normal], name, vec![]);
    }
    finish_with(builder, &names)
}

/// Returns many small parts: attributes, inputs of nodes, and constants.
fn many_parts() -> Builder {
    let attributes = || {
        vec![
            text("auto_pad", "NOTSET"),
            int("ceil_mode", 0),
            ints("dilations", &[1, 1]),
            ints("kernel_shape", &[1, 1]),
            ints("pads", &[0, 0, 0, 0]),
            int("storage_order", 0),
            ints("strides", &[1, 1]),
        ]
    };
    let constants = (0..8000).fold(Builder::default(), |builder, index| {
        builder.initializer(zeros(&format!("c{index}"), &[1]))
    });
    let names: Vec<String> = (0..7000).map(|index| format!("p{index}")).collect();
    let builder = names
        .iter()
        .fold(constants, |builder, name| builder.node("MaxPool", &["fast"], name, attributes()));
    finish_with(builder, &names)
}

/// Returns the packages with small sizes, which every runtime must run within its bounds.
pub(crate) fn demanding_packages() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("independent products", independent_products(64).build()),
        ("growing values", growing_values().build()),
        ("small values after large ones", small_values_after_large_ones().build()),
        ("values with many uses", values_with_many_uses().build()),
        ("products with late biases", products_with_late_biases().build()),
        ("many small products", many_small_products().build()),
        ("narrow products", narrow_products().build()),
        ("wide convolutions", wide_convolutions().build()),
        ("padded depthwise convolution", padded_depthwise_convolution().build()),
        ("folded kernels", folded_kernels().build()),
        ("many parts", many_parts().build()),
    ]
}
