using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>The conditions of one request.</summary>
/// <param name="Tenant">Tenant that the queue serves in turn with others, and whose prefix cache the request uses.</param>
/// <param name="PinPrefix">How long the prompt's full blocks are protected from eviction after the answer; null does not protect
/// them.</param>
/// <param name="Arrived">Timestamp of the request's arrival.</param>
public sealed record RequestTerms(string Tenant, TimeSpan? PinPrefix, long Arrived);

/// <summary>
/// One prompt and the sequences that continue it. The engine's loop owns the request: the loop admits it, schedules its
/// sequences, gives it the outputs of each step, and ends it when it is finished, failed or cancelled. Then everything that it
/// leased is returned.
/// </summary>
public abstract class EngineRequest(SequencePrompt prompt, RequestTerms terms)
{
    private volatile bool _cancelled;

    public SequencePrompt Prompt { get; } = prompt;

    public RequestTerms Terms { get; } = terms;

    /// <summary>The trace in which the request was created.</summary>
    public RequestTrace Trace { get; } = RequestTrace.Current;

    /// <summary>Largest number of sequences that run at once.</summary>
    public abstract int Width { get; }

    /// <summary>
    /// The sequences that may take part in the next step, oldest first. A sequence without uncomputed tokens does not take part.
    /// </summary>
    public abstract IReadOnlyList<Sequence> Sequences { get; }

    public abstract bool IsFinished { get; }

    /// <summary>Largest number of steps until the request ends.</summary>
    public abstract int StepsLeft { get; }

    /// <summary>Whether only the most likely id of each next token is needed, so that the runner need not return logits.</summary>
    public virtual bool WantsOnlyBest => false;

    /// <summary>Which cross-attention weights of generated tokens are to be returned; null for none.</summary>
    public virtual AttentionChoice? Attention => null;

    /// <summary>Whether blocks of the answer are published to the prefix cache too.</summary>
    public virtual bool PublishesAnswer => false;

    /// <summary>Whether the outputs of the sequences become tokens of answers, and not only scores.</summary>
    public virtual bool GeneratesTokens => true;

    /// <summary>How each answer ended, for those that read metrics; empty before the end, and for rankings.</summary>
    public IReadOnlyList<FinishedSample> Answers { get; set; } = [];

    /// <summary>Whether the reader of the answer is behind, so that the request should take part in no step for now.</summary>
    public virtual bool WantsPause => false;

    /// <summary>
    /// Whether the request takes part in no step. It keeps its blocks and pictures, and does not count as a running sequence. Only
    /// the engine's loop sets it.
    /// </summary>
    public bool IsPaused { get; set; }

    public bool IsCancelled => _cancelled;

    /// <summary>Hashes of the prompt's full blocks, and of the answer's where <see cref="PublishesAnswer"/> is true.</summary>
    public List<BlockHash> Chain { get; set; } = [];

    public BlockLease? BlockLease { get; private set; }

    public PictureLease? PictureLease { get; private set; }

    /// <summary>The sequence of the prompt; null before admission.</summary>
    public Sequence? Root { get; private set; }

    /// <summary>Number of prompt tokens that were taken from the prefix cache.</summary>
    public int CachedTokens { get; set; }

    /// <summary>Number of blocks of the chain that have been published.</summary>
    public int Published { get; set; }

    public bool PicturesAreProjected { get; set; }

    /// <summary>Timestamp of the admission; 0 before.</summary>
    public long Admitted { get; set; }

    /// <summary>Timestamps at which the steps that computed the first and the last token ended; 0 before.</summary>
    public long FirstToken { get; set; }

    /// <inheritdoc cref="FirstToken"/>
    public long LastToken { get; set; }

    /// <summary>Timestamp at which the first step that computed the request began; 0 before.</summary>
    public long Started { get; set; }

    /// <summary>
    /// Number of the last step that computed tokens of the prompt or of candidates. At its admission a request takes the number of its
    /// tenant, or that of the current step, so that newcomers do not go before those who wait for their turn.
    /// </summary>
    public long LastServed { get; set; }

    /// <summary>Number of requests that were admitted before this one although it was in front of them.</summary>
    public int Passed { get; set; }

    /// <summary>Number of blocks for the prompt and for the full length of all sequences that continue it.</summary>
    public abstract int BlocksNeeded(int blockTokens);

    /// <summary>Processes the output of one sequence, after <see cref="Sequence.Computed"/> has been increased.</summary>
    public abstract void Accept(Sequence sequence, StepOutput output);

    /// <summary>Ends the caller's answer with the exception.</summary>
    public abstract void Fail(Exception exception);

    /// <summary>Marks the request as cancelled; the engine ends it before its next step. Any thread may call it.</summary>
    public void Cancel() => _cancelled = true;

    public void Admit(BlockLease blocks, PictureLease pictures) =>
        (BlockLease, PictureLease, Root) = (blocks, pictures, new Sequence(this, Prompt.Ids, blocks));

    /// <summary>Returns everything that the request leased. It may be called twice.</summary>
    public void Release()
    {
        foreach (var sequence in Sequences.ToList()) sequence.Release();
        Root?.Release();
        BlockLease?.Dispose();
        PictureLease?.Dispose();
    }

    /// <summary>Number of blocks after the prompt's full blocks that a sequence of <paramref name="tokens"/> tokens needs.</summary>
    protected int BlocksBehindPrompt(int tokens, int blockTokens) =>
        ((tokens + blockTokens - 1) / blockTokens) - (Prompt.Ids.Count / blockTokens);
}
