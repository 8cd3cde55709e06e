// The examples of the small model, which the page shows with one click. The pictures are those of models/shapes/examples.

const words = ['jano', 'pilu', 'jano', 'pilu', 'jano', 'jano', 'pilu', 'pilu'];
const shots = words.map((word, index) => ({ file: `new-word-shot-${index + 1}.png`, text: `This is a ${word}` }));
const query = { file: 'new-word-query.png', text: 'This is a' };

export const examples = [
  {
    title: 'Teach two new words', what: 'Eight pictures are called jano or pilu. What is the ninth?', task: 'continue',
    cards: [...shots, query], candidates: ['jano', 'pilu'],
  },
  {
    title: 'Let the server pick', what: 'The eight examples are saved. The four most similar to your picture are picked.', task: 'continue',
    cards: [...shots, query], candidates: ['jano', 'pilu'], set: 'new-words',
  },
  {
    title: 'Describe a picture', what: 'No example at all: what is it?', task: 'describe', cards: [{ file: 'caption-query.png' }],
    candidates: ['a large white star', 'a small white star', 'a large white heart'],
  },
  {
    title: 'Count', what: 'One example of a question and its answer. Then another question.', task: 'ask',
    cards: [
      { file: 'vqa-shot-1.png', question: 'is there a yellow star?', text: 'no' },
      { file: 'vqa-query.png', question: 'how many shapes are there?' },
    ],
    candidates: ['one', 'two', 'three', 'four'],
  },
  {
    title: 'Compare two pictures', what: 'The same color as in the first picture?', task: 'continue',
    cards: [
      { file: 'comparison-shot-1.png', text: 'First.' },
      { file: 'comparison-query.png', text: 'Question:same color as the first? Short answer:' },
    ],
    candidates: ['yes', 'no'],
  },
];
