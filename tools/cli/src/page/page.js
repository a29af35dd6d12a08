'use strict';
const list = document.querySelector('.cines');
const cines = [...list.children];
const [order, state, text, shown] =
  ['order', 'state', 'text', 'shown'].map((id) => document.getElementById(id));
const words = cines.map((cine) => cine.querySelector('.text').textContent.toLowerCase());
const place = new Map(cines.map((cine, index) => [cine, index]));
// Cines without a view, a group or a confidence come last.
const compare = (key) => (a, b) => {
  const [x, y] = [a.dataset[key], b.dataset[key]];
  if (!x || !y) return !x - !y;
  return x.localeCompare(y, 'en', { numeric: true });
};
const number = (key, sign) => (a, b) => {
  const [x, y] = [a.dataset[key], b.dataset[key]];
  if (!x || !y) return !x - !y;
  return sign * (x - y);
};
const orders = {
  given: () => 0,
  file: compare('file'),
  view: compare('view'),
  group: compare('group'),
  low: number('confidence', 1),
  high: number('confidence', -1),
};
const sort = () => {
  const first = orders[order.value];
  list.append(...[...cines].sort((a, b) => first(a, b) || place.get(a) - place.get(b)));
};
const filter = () => {
  const wanted = text.value.toLowerCase();
  let count = 0;
  cines.forEach((cine, index) => {
    const fits = words[index].includes(wanted)
      && (state.value === 'all' || cine.classList.contains(state.value));
    cine.hidden = !fits;
    count += fits;
  });
  shown.textContent = `${count} of ${cines.length} shown`;
};
order.addEventListener('change', sort);
state.addEventListener('change', filter);
text.addEventListener('input', filter);
document.querySelectorAll('.tools [hidden]').forEach((tool) => { tool.hidden = false; });
sort();
filter();
