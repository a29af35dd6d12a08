//! Conversion of Einsum with two operands to transposes and one matrix product.

use super::failure::{NodeResult, fail};
use super::node_context::NodeContext;
use crate::graph::{Op, ValueId};

pub(super) fn convert_einsum(node: &mut NodeContext) -> NodeResult<ValueId> {
    let text = node.attributes.text("equation");
    let equation: String =
        String::from_utf8_lossy(text).chars().filter(|c| !c.is_whitespace()).collect();
    let unsupported = || {
        fail(format!(
            "the equation \"{equation}\" is not supported; use two operands, each letter at most \
             once for each of them, and an explicit result"
        ))
    };
    let Some((left, result)) = equation.split_once("->") else { return unsupported() };
    let Some((a, b)) = left.split_once(',') else { return unsupported() };
    let letters = |text: &str| -> Option<Vec<char>> {
        let letters: Vec<char> = text.chars().collect();
        let is_first =
            |(at, letter): (usize, &char)| letters.iter().position(|l| l == letter) == Some(at);
        let is_plain = letters.iter().all(char::is_ascii_alphabetic)
            && letters.iter().enumerate().all(is_first);
        is_plain.then_some(letters)
    };
    let (Some(a), Some(b), Some(result)) = (letters(a), letters(b), letters(result)) else {
        return unsupported();
    };
    let y = node.input(1, "second operand")?;
    let (shape_a, shape_b) = (node.shape(node.x).to_vec(), node.shape(y).to_vec());
    if shape_a.len() != a.len() || shape_b.len() != b.len() {
        return unsupported();
    }
    let size = |letter: char| {
        let find = |letters: &[char], shape: &[usize]| {
            let at = letters.iter().position(|&l| l == letter)?;
            shape.get(at).copied()
        };
        find(&a, &shape_a).or_else(|| find(&b, &shape_b)).unwrap_or(1)
    };
    let fits = b.iter().zip(&shape_b).all(|(&letter, &s)| s == size(letter));
    let is_in = |letters: &[char], letter: &char| letters.contains(letter);
    let batch: Vec<char> =
        a.iter().filter(|l| is_in(&b, l) && is_in(&result, l)).copied().collect();
    let inner: Vec<char> =
        a.iter().filter(|l| is_in(&b, l) && !is_in(&result, l)).copied().collect();
    let rows: Vec<char> = a.iter().filter(|l| !is_in(&b, l)).copied().collect();
    let columns: Vec<char> = b.iter().filter(|l| !is_in(&a, l)).copied().collect();
    let free = rows.iter().chain(&columns);
    let is_complete = free.clone().all(|l| is_in(&result, l))
        && result.iter().all(|l| is_in(&a, l) || is_in(&b, l));
    if !fits || !is_complete {
        return unsupported();
    }
    let count = |letters: &[char]| letters.iter().map(|&l| size(l)).product::<usize>();
    let (n, k, m, p) = (count(&batch), count(&inner), count(&rows), count(&columns));
    let order = |letters: &[char], from: &[char]| -> Vec<usize> {
        letters.iter().filter_map(|l| from.iter().position(|f| f == l)).collect()
    };
    let left = node.transpose(node.x, order(&[&batch[..], &rows, &inner].concat(), &a))?;
    let left = node.reshape(left, vec![n, m, k])?;
    let right = node.transpose(y, order(&[&batch[..], &inner, &columns].concat(), &b))?;
    let right = node.reshape(right, vec![n, k, p])?;
    let product = node.add_node(Op::MatMul, vec![left, right], vec![n, m, p])?;
    let letters = [&batch[..], &rows, &columns].concat();
    let sizes = letters.iter().map(|&l| size(l)).collect();
    let spread = node.reshape(product, sizes)?;
    node.transpose(spread, order(&result, &letters))
}
