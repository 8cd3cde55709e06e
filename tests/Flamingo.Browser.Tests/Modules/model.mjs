// Descriptions of models as `GET flamingo/v1/model` gives them, with what the page reads of them.

const END = '<|endofchunk|>';

/** Like models/shapes: the picture stands first in every template. */
export const shapes = {
  language: {
    endOfChunkToken: END, specialTokens: ['<PAD>', '<image>', END],
    prompts: {
      caption: {
        text: `{picture}Output:{answer}${END}`, cutAt: ['Output'],
        zeroShot: [{ question: '', answer: 'a small red circle' }, { question: '', answer: 'two large blue squares' }],
      },
      answer: {
        text: `{picture}Question:{question} Short answer:{answer}${END}`, cutAt: ['Question', 'Answer'],
        zeroShot: [{ question: 'what color?', answer: 'red' }],
      },
    },
  },
};

/** Like IDEFICS: text stands before the picture, and an example ends with a line break. */
export const idefics = {
  language: {
    endOfChunkToken: '</s>', specialTokens: ['<s>', '</s>', '<image>', '<fake_token_around_image>'],
    prompts: {
      caption: { text: 'User:{picture}Describe it.\nAssistant: {answer}\n', zeroShot: [], cutAt: ['User:', '\n'] },
      answer: { text: 'Question: {question} Image:{picture} Answer: {answer}\n', zeroShot: [], cutAt: [] },
    },
  },
};

/** A checkpoint that was trained on no task. */
export const bare = { language: { endOfChunkToken: END, specialTokens: [END], prompts: null } };

/** Floats as a tensor of the JSON API. */
export const tensor = (values, ...shape) => ({
  dtype: 'DTYPE_FLOAT32', shape, data: Buffer.from(new Float32Array(values).buffer).toString('base64'),
});
