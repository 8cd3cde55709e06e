using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Kernels;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>
/// The decoder's step for few rows on the CPU, in bf16, without torch: one pass of all threads over the weights. torch would take some
/// hundred calls for the same step, each computed by one thread or by another thread pool, and the memory would be read in none of the gaps
/// between them. Every number is rounded to bf16 where torch rounds it. A row's result has the same bits whatever the other rows are, and
/// differs from torch's only where sums in another order round to another bf16 number.
/// </summary>
public sealed unsafe class FewRowDecoder
{
    // Below this number of multiplications, waking another thread costs more than it saves.
    private const long ParallelWork = 2_000_000;

    private readonly FewRowState _state;
    private readonly PhasedRun<FewRowWorker> _run;
    private readonly int _threads, _width, _vocabulary;
    private readonly long _parameters;
    private readonly nint _embedding;

    internal FewRowDecoder(FewRowPlan plan, ComputeTeam team, nint embedding)
    {
        (_state, _embedding, _threads, _parameters) = (plan.State, embedding, team.Threads, plan.Parameters);
        (_width, _vocabulary) = (plan.State.X.Width, plan.State.Logits.Width);
        _run = new PhasedRun<FewRowWorker>(team, plan.Phases, () => new FewRowWorker(_state));
        (Text, Pictures) = (plan.Text, plan.Pictures);
    }

    /// <summary>Most rows of a step.</summary>
    public int MostRows => _state.MostRows;

    private BlockLayout Text { get; }

    private BlockLayout Pictures { get; }

    /// <summary>Computes new rows, and writes their keys and values into the text's blocks.</summary>
    /// <param name="step">At most <see cref="MostRows"/> rows, without a probe.</param>
    /// <param name="logitRows">Rows whose logits are wanted, in any order.</param>
    /// <param name="parallelWork">Number of multiplications from which on all threads compute; null for the usual one.</param>
    /// <exception cref="ArgumentException">There are too many rows, or a row reads a block that does not exist.</exception>
    public void Run(DecoderStep step, int[] logitRows, long? parallelWork = null)
    {
        var rows = step.Ids.Length;
        if (rows > MostRows || step.Probe is not null) throw new ArgumentException($"{rows} rows are more than {MostRows}, or are probed.");
        Text.Check(step.Text);
        Pictures.Check(step.Pictures);
        _state.Begin(step, logitRows);
        for (var row = 0; row < rows; row++)
        {
            if ((uint)step.Ids[row] >= (uint)_vocabulary) throw new ArgumentException($"There is no token {step.Ids[row]}.");
            BFloat16Rows.Widen((ushort*)_embedding + ((long)step.Ids[row] * _width), _state.X.Row(row), _width);
        }

        _run.Run(_parameters * rows < (parallelWork ?? ParallelWork) ? 1 : _threads);
    }

    /// <summary>The logits of the last run: bf16 numbers as f32 [vocabulary], valid until the next run.</summary>
    /// <param name="index">Index among the logit rows of the run.</param>
    public ReadOnlySpan<float> Logits(int index) => new(_state.Logits.Row(index), _vocabulary);

    /// <summary>The index of the largest number, the lowest one if several are equal; −1 if a number is not finite.</summary>
    public static int Best(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var index = 0; index < logits.Length; index++)
        {
            if (!float.IsFinite(logits[index])) return -1;
            if (logits[index] > logits[best]) best = index;
        }

        return best;
    }
}

/// <summary>Collects the phases of a <see cref="FewRowDecoder"/> in the order in which they are computed.</summary>
/// <param name="text">Sizes of the text's blocks.</param>
/// <param name="pictures">Sizes of the pictures' blocks.</param>
internal sealed class FewRowPlan(FewRowState state, BlockLayout text, BlockLayout pictures)
{
    private readonly List<Phase<FewRowWorker>> _phases = [];

    public FewRowState State => state;

    public BlockLayout Text => text;

    public BlockLayout Pictures => pictures;

    public IReadOnlyList<Phase<FewRowWorker>> Phases => _phases;

    /// <summary>Number of matrix parameters of all products.</summary>
    public long Parameters { get; private set; }

    public void Add(Phase<FewRowWorker> phase)
    {
        _phases.Add(phase);
        if (phase is ProductPhase product) Parameters += product.Parameters;
    }
}
