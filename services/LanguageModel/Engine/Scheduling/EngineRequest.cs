using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <param name="Tenant">Whose turn in the queue, and the root of its prefix names.</param>
/// <param name="PinPrefix">How long the prompt's full blocks are kept after the answer; null leaves them to chance.</param>
/// <param name="Arrived">Timestamp of the request's arrival.</param>
public sealed record RequestTerms(string Tenant, TimeSpan? PinPrefix, long Arrived);

/// <summary>
/// One prompt and the sequences that grow from it. The engine's loop owns it: it is admitted, its sequences are scheduled, each step's
/// outputs are accepted, and it ends finished, failed or cancelled. Then everything that it leased is given back.
/// </summary>
public abstract class EngineRequest(SequencePrompt prompt, RequestTerms terms)
{
    private volatile bool _cancelled;

    public SequencePrompt Prompt { get; } = prompt;

    public RequestTerms Terms { get; } = terms;

    /// <summary>Most sequences at once.</summary>
    public abstract int Width { get; }

    /// <summary>The sequences of this step, oldest first; those without uncomputed tokens wait.</summary>
    public abstract IReadOnlyList<Sequence> Sequences { get; }

    public abstract bool IsFinished { get; }

    /// <summary>Steps until the request must have ended, if nothing stops it before.</summary>
    public abstract int StepsLeft { get; }

    /// <summary>Whether of each next token only the most likely id is wanted, so that logits need not be handed over.</summary>
    public virtual bool WantsOnlyBest => false;

    /// <summary>Whether cross-attention weights of generated tokens are wanted.</summary>
    public virtual Abstractions.AttentionChoice? Attention => null;

    /// <summary>Whether blocks behind the prompt may serve other prompts.</summary>
    public virtual bool PublishesAnswer => false;

    public bool IsCancelled => _cancelled;

    /// <summary>Names of the prompt's full blocks; grows with the answer where that is published.</summary>
    public List<BlockHash> Chain { get; set; } = [];

    public BlockLease? BlockLease { get; private set; }

    public PictureLease? PictureLease { get; private set; }

    /// <summary>The prompt's own sequence.</summary>
    public Sequence? Root { get; private set; }

    /// <summary>Prompt tokens that another request had computed.</summary>
    public int CachedTokens { get; set; }

    /// <summary>Blocks of the chain that have been published.</summary>
    public int Published { get; set; }

    public bool PicturesAreProjected { get; set; }

    /// <summary>When its first chunk was scheduled; 0 before.</summary>
    public long Started { get; set; }

    /// <summary>Blocks for the whole length of everything that may grow from the prompt, the prompt included.</summary>
    public abstract int BlocksNeeded(int blockTokens);

    /// <summary>Takes one sequence's output of a step, after its tokens have counted as computed.</summary>
    public abstract void Accept(Sequence sequence, StepOutput output);

    /// <summary>Tells the caller that the request failed.</summary>
    public abstract void Fail(Exception exception);

    /// <summary>From any thread; the engine ends the request before its next step.</summary>
    public void Cancel() => _cancelled = true;

    public void Admit(BlockLease blocks, PictureLease pictures) =>
        (BlockLease, PictureLease, Root) = (blocks, pictures, new Sequence(this, Prompt.Ids, blocks));

    /// <summary>Gives everything back; safe to call twice.</summary>
    public void Release()
    {
        foreach (var sequence in Sequences.ToList()) sequence.Release();
        Root?.Release();
        BlockLease?.Dispose();
        PictureLease?.Dispose();
    }

    /// <summary>Blocks behind the prompt's full ones, for a sequence of so many tokens.</summary>
    protected int BlocksBehindPrompt(int tokens, int blockTokens) =>
        ((tokens + blockTokens - 1) / blockTokens) - (Prompt.Ids.Count / blockTokens);
}
