namespace Flamingo.Abstractions;

/// <summary>
/// Short forms of the calls of <see cref="IFlamingo"/>, <see cref="ITasks"/> and <see cref="ISupportSets"/>, for every
/// implementation of these interfaces.
/// </summary>
public static class ShortCalls
{
    extension(IFlamingo flamingo)
    {
        /// <summary>Streams the answer to a prompt.</summary>
        /// <param name="sampling">Null samples greedily, at most 32 tokens.</param>
        /// <inheritdoc cref="IFlamingo.GenerateAsync"/>
        public IAsyncEnumerable<AnswerEvent> GenerateAsync(
            Prompt prompt, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            flamingo.GenerateAsync(new FlamingoRequest(prompt.Segments, sampling ?? new SamplingParameters()), cancellation);

        /// <summary>Returns the complete answer to a prompt.</summary>
        /// <param name="sampling">Null samples greedily, at most 32 tokens.</param>
        /// <exception cref="FlamingoException">As <see cref="IFlamingo.GenerateAsync"/>.</exception>
        public Task<Answer> CompleteAsync(Prompt prompt, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            Answer.ReadAsync(flamingo.GenerateAsync(prompt, sampling, cancellation), cancellation);

        /// <summary>
        /// Returns the complete answer to a request with further options: examples from a support set, a pinned prefix, attention maps.
        /// </summary>
        /// <exception cref="FlamingoException">As <see cref="IFlamingo.GenerateAsync"/>.</exception>
        public Task<Answer> CompleteAsync(FlamingoRequest request, CancellationToken cancellation = default) =>
            Answer.ReadAsync(flamingo.GenerateAsync(request, cancellation), cancellation);

        /// <inheritdoc cref="IFlamingo.RankAsync"/>
        public Task<FlamingoRanking> RankAsync(Prompt prompt, IEnumerable<string> candidates, CancellationToken cancellation = default) =>
            flamingo.RankAsync(new FlamingoRankRequest(prompt.Segments, [.. candidates]), cancellation);

        /// <param name="pictures">Encoded files.</param>
        /// <param name="includePooled">Whether to return CLIP's pooled embedding of each picture too.</param>
        /// <inheritdoc cref="IFlamingo.EncodeAsync"/>
        public Task<FlamingoEncoding> EncodeAsync(
            IEnumerable<ReadOnlyMemory<byte>> pictures, bool includePooled = false, CancellationToken cancellation = default) =>
            flamingo.EncodeAsync(
                new FlamingoEncodeRequest([.. pictures.Select(picture => new FlamingoPicture(picture))], includePooled), cancellation);
    }

    extension(ITasks tasks)
    {
        /// <summary>Describes a picture, prompted with the template that the checkpoint was trained on.</summary>
        /// <param name="picture">An encoded file.</param>
        /// <inheritdoc cref="ITasks.CaptionAsync"/>
        public Task<TaskAnswer> CaptionAsync(ReadOnlyMemory<byte> picture, CancellationToken cancellation = default) =>
            tasks.CaptionAsync(new CaptionTask(PromptOf(picture), new SamplingParameters()), cancellation);

        /// <summary>Answers a question about a picture.</summary>
        /// <inheritdoc cref="CaptionAsync(ITasks, ReadOnlyMemory{byte}, CancellationToken)"/>
        public Task<TaskAnswer> AnswerAsync(ReadOnlyMemory<byte> picture, string question, CancellationToken cancellation = default) =>
            tasks.AnswerAsync(new AnswerTask(PromptOf(picture), question, new SamplingParameters()), cancellation);

        /// <summary>Scores several labels for a picture and returns the best label first.</summary>
        /// <inheritdoc cref="CaptionAsync(ITasks, ReadOnlyMemory{byte}, CancellationToken)"/>
        public Task<Classification> ClassifyAsync(
            ReadOnlyMemory<byte> picture, IEnumerable<string> labels, CancellationToken cancellation = default) =>
            tasks.ClassifyAsync(new ClassifyTask(PromptOf(picture), [.. labels]), cancellation);

        /// <summary>Streams the model's next reply in a conversation.</summary>
        /// <param name="sampling">Null samples greedily, at most 32 tokens.</param>
        /// <inheritdoc cref="ITasks.ChatAsync"/>
        public IAsyncEnumerable<AnswerEvent> ChatAsync(
            Conversation conversation, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            tasks.ChatAsync(new ChatTask([.. conversation.Turns], sampling ?? new SamplingParameters()), cancellation);

        /// <summary>
        /// Returns the model's complete next reply; <c>conversation.Assistant(answer.Text)</c> adds it to the conversation.
        /// </summary>
        /// <inheritdoc cref="ChatAsync(ITasks, Conversation, SamplingParameters?, CancellationToken)"/>
        public Task<Answer> ReplyAsync(
            Conversation conversation, SamplingParameters? sampling = null, CancellationToken cancellation = default) =>
            Answer.ReadAsync(tasks.ChatAsync(conversation, sampling, cancellation), cancellation);

        /// <inheritdoc cref="ReplyAsync(ITasks, Conversation, SamplingParameters?, CancellationToken)"/>
        public Task<Answer> ReplyAsync(ChatTask task, CancellationToken cancellation = default) =>
            Answer.ReadAsync(tasks.ChatAsync(task, cancellation), cancellation);
    }

    extension(ISupportSets sets)
    {
        /// <param name="name">1 to 128 characters of <c>A-Z a-z 0-9 . _ -</c>.</param>
        /// <param name="examples">For each example an encoded file and the text that follows it, without the end-of-chunk token.</param>
        /// <param name="timeToLive">How long the set is kept; null keeps it until it is deleted.</param>
        /// <param name="expectedVersion">
        /// The version that the set must have now; 0 means that it must not exist. Otherwise the call fails with Conflict. Null
        /// replaces any version.
        /// </param>
        /// <inheritdoc cref="ISupportSets.PutAsync"/>
        public Task<SupportSet> PutAsync(
            string name, IEnumerable<(ReadOnlyMemory<byte> Picture, string Text)> examples, TimeSpan? timeToLive = null,
            long? expectedVersion = null, CancellationToken cancellation = default)
        {
            var stored = examples.Select(example => new SupportExample(new FlamingoPicture(example.Picture), example.Text));
            return sets.PutAsync(new PutSupportSet(name, [.. stored], timeToLive, expectedVersion), cancellation);
        }

        /// <summary>Returns a set of the default tenant.</summary>
        /// <inheritdoc cref="ISupportSets.GetAsync"/>
        public Task<SupportSet> GetAsync(string name, CancellationToken cancellation = default) =>
            sets.GetAsync(TenantName.Default, name, cancellation);

        /// <summary>Lists the default tenant's sets, ordered by name and without their examples.</summary>
        public Task<IReadOnlyList<SupportSet>> ListAsync(CancellationToken cancellation = default) =>
            sets.ListAsync(TenantName.Default, cancellation);

        /// <summary>Deletes a set of the default tenant.</summary>
        /// <inheritdoc cref="ISupportSets.DeleteAsync"/>
        public Task DeleteAsync(string name, CancellationToken cancellation = default) =>
            sets.DeleteAsync(TenantName.Default, name, cancellation);
    }

    private static TaskPrompt PromptOf(ReadOnlyMemory<byte> picture) => new(new FlamingoPicture(picture));
}
