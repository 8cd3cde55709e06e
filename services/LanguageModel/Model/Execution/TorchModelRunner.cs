using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.Modeling;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Runs the decoder on the inference thread, one step a turn, so that other stages of the process come in between.</summary>
public sealed class TorchModelRunner(Decoder decoder, InferenceThread thread, Device device) : IModelRunner
{
    public async Task<IModelSequence> StartAsync(SequencePrompt prompt, CancellationToken cancellation) =>
        await thread.RunAsync(() => new Sequence(this, prompt), cancellation);

    /// <summary>The plain twin: logits of every token of the prompt in one pass without reuse, f32 [tokens, vocabulary].</summary>
    public Task<TensorData> LogitsAsync(SequencePrompt prompt, CancellationToken cancellation) => thread.RunAsync(() =>
    {
        using var sequence = new Sequence(this, prompt);
        return decoder.Logits(sequence.Forward(prompt.Ids, prompt.Pictures)).ToData(TensorDtype.Float32);
    }, cancellation);

    private sealed class Sequence : IModelSequence, IDisposable
    {
        private readonly TorchModelRunner _runner;
        private readonly SequencePrompt _prompt;
        private readonly KeyValueCache _cache;
        private readonly List<IReadOnlyDictionary<int, PictureKeyValues>> _pictures = [];
        private float[]? _lastLogits;

        public Sequence(TorchModelRunner runner, SequencePrompt prompt)
        {
            (_runner, _prompt) = (runner, prompt);
            _cache = runner.Decoder.NewCache(prompt.Capacity);
            try
            {
                foreach (var latents in prompt.Latents) _pictures.Add(runner.Decoder.Project(latents.ToTensor(runner.Device)));
            }
            catch
            {
                Dispose(); // nobody else has this sequence
                throw;
            }
        }

        public async Task<float[]> PrefillAsync(CancellationToken cancellation)
        {
            _lastLogits = await _runner.Thread.RunAsync(() => LastLogits(Forward(_prompt.Ids, _prompt.Pictures)), cancellation);
            return [.. _lastLogits]; // a sampler changes its logits in place, Score needs them as they were
        }

        public Task<float[]> DecodeAsync(int token, CancellationToken cancellation) =>
            _runner.Thread.RunAsync(() => LastLogits(Forward([token], [_prompt.Pictures[^1]])), cancellation);

        public Task<IReadOnlyList<float>> ScoreAsync(IReadOnlyList<int> candidate, CancellationToken cancellation) => _runner.Thread.RunAsync(() =>
        {
            var first = tensor(_lastLogits ?? throw new InvalidOperationException("Score follows Prefill."), device: _runner.Device).unsqueeze(0);
            var logits = first;                                                            // [candidate tokens, vocabulary]
            if (candidate.Count > 1)
            {
                var held = _cache.Length;
                var given = candidate.Take(candidate.Count - 1).ToArray();
                logits = cat([first, _runner.Decoder.Logits(Forward(given, [.. given.Select(_ => _prompt.Pictures[^1])]))], 0);
                _cache.Length = held;
            }

            var likelihoods = logits.to(ScalarType.Float64).log_softmax(-1);
            IReadOnlyList<float> scores = [.. candidate.Select((id, index) => (float)likelihoods[index, id].item<double>())];
            return scores.All(float.IsFinite) ? scores : throw new StageException(StageErrorKind.Internal, "The model produced a non-finite logit; this request was stopped, others are not affected.");
        }, cancellation);

        /// <summary>Hidden states of new tokens [tokens, width]; on the inference thread.</summary>
        public Tensor Forward(IReadOnlyList<int> ids, IReadOnlyList<int> pictures) => _runner.Decoder.Forward(ids, Spans(pictures), _pictures, _cache);

        public void Dispose()
        {
            _cache.Dispose();
            foreach (var block in _pictures.SelectMany(picture => picture.Values)) block.Dispose();
        }

        // on the inference thread, behind whatever step still runs there
        public async ValueTask DisposeAsync()
        {
            try
            {
                await _runner.Thread.RunAsync(() =>
                {
                    Dispose();
                    return true;
                }, CancellationToken.None);
            }
            catch (InvalidOperationException) // the process is stopping, the thread has ended: nobody computes any more
            {
                Dispose();
            }
        }

        private float[] LastLogits(Tensor hidden) => _runner.Decoder.Logits(hidden.slice(0, hidden.shape[0] - 1, hidden.shape[0], 1))[0].cpu().data<float>().ToArray();

        // neighbouring tokens that see the same picture form one span
        private static List<PictureSpan> Spans(IReadOnlyList<int> pictures)
        {
            var spans = new List<PictureSpan>();
            for (var begin = 0; begin < pictures.Count;)
            {
                var end = begin;
                while (end < pictures.Count && pictures[end] == pictures[begin]) end++;
                if (pictures[begin] >= 0) spans.Add(new PictureSpan(begin, end, pictures[begin]));
                begin = end;
            }

            return spans;
        }
    }

    private Decoder Decoder => decoder;

    private InferenceThread Thread => thread;

    private Device Device => device;
}
